"""`docs/cli.md` is what the commands say."""

from pathlib import Path

import typer

from perceiver_music.cli.app import app
from perceiver_music.cli.reference import reference
from perceiver_music.cli.settings import commands_beneath

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


def test_everything_that_may_be_given_is_explained() -> None:
    commands = list(commands_beneath(typer.main.get_command(app)))
    bare = [
        (*words, parameter.name)
        for words, command in commands
        for parameter in command.params
        if not getattr(parameter, "hidden", False) and not parameter.help
    ]
    assert len(commands) > 10
    assert not bare


def test_every_help_ends_with_what_every_command_takes() -> None:
    sections = reference().split("\n## `perceiver-music")[1:]
    assert sections
    assert all(section.count("\nOn every command:\n  --json") == 1 for section in sections)
