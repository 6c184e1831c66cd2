"""`python -m perceiver_music.cli`."""

from perceiver_music.cli.app import main

if __name__ == "__main__":
    main()
