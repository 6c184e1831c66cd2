"""One short file a command: options in, one job called, its result printed."""
