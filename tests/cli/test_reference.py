"""`docs/cli.md` is what the commands say."""

from pathlib import Path

from perceiver_music.cli.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), (
        "run `python -m perceiver_music.cli.reference docs/cli.md` and commit the page"
    )


def test_defaults_are_told_in_words() -> None:
    text = reference()
    assert "[default: drawn, and shown]" in " ".join(text.split())
    assert "x>=" not in text
    assert "default: (" not in text
