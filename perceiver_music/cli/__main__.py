"""`python -m perceiver_music.cli`."""

from perceiver_music.__main__ import main

if __name__ == "__main__":
    main()
