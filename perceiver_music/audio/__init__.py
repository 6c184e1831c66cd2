"""Sound from performances: synthesizers, SoundFonts, encoding."""
