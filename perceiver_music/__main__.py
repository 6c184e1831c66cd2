"""`python -m perceiver_music`, and what the console script calls."""

import os


def main() -> None:
    """The way in: before anything that takes time, a Ctrl-C is made sure of."""
    try:
        from perceiver_music.cli import early_signals

        early_signals.keep()
    except KeyboardInterrupt:
        os._exit(130)
    from perceiver_music.cli import app

    app.main()


if __name__ == "__main__":
    main()
