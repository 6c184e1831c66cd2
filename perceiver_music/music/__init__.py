"""Performances, and MIDI files to and from them; no torch."""
