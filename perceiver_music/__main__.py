"""`python -m perceiver_music`."""

from perceiver_music.cli.app import main

if __name__ == "__main__":
    main()
