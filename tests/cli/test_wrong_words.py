"""Wrong words on the command line: what is wrong with which, and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

LENGTHS = "Try 4096 (events), 500notes, 60s, 1:30 or 16bars."
CASES = [
    ("compose -n 0", "--variations 0 is less than 1", "Use 1 or more."),
    ("compose --seed -1", "--seed -1 is less than 0", "Use 0 or more."),
    (
        "compose --seed 99999999999",
        "--seed 99999999999 is more than 2147483647",
        "Use 2147483647 or less.",
    ),
    (
        "compose --seed x",
        "--seed x is not a whole number",
        "See 'perceiver-music compose --help'.",
    ),
    ("compose -n two", "--variations two is not a whole number", "Give one, as in --variations 1."),
    (
        "compose --temperature hot",
        "--temperature hot is not a number",
        "Give one, as in --temperature 1.0.",
    ),
    ("compose --length 0", "--length: '0' is no music at all", LENGTHS),
    ("duet --length 0", "--length: '0' is no music at all", "Try 20s or 1:30."),
    ("duet --length 16bars", "--length: '16bars' is not in seconds", "Try 20s or 1:30."),
    ("compose --length 5.5", "--length: '5.5' is not a whole number of events", LENGTHS),
    ("continue x --from soon", "--from: 'soon' is not a time", "Try 12.5, 12.5s or 1:30."),
    (
        "compose --bogus",
        "'perceiver-music compose' has no option --bogus",
        "See 'perceiver-music compose --help'.",
    ),
    ("--bogus", "'perceiver-music' has no option --bogus", "See 'perceiver-music --help'."),
    (
        "compose --lenght 60s",
        "'perceiver-music compose' has no option --lenght",
        "Did you mean --length?",
    ),
    ("compose -n", "-n needs a value", "See 'perceiver-music compose --help'."),
    (
        "infill x --between 3",
        "--between needs 2 values",
        "See 'perceiver-music infill --help'.",
    ),
    (
        "compose --render=yes",
        "--render takes no value",
        "See 'perceiver-music compose --help'.",
    ),
    (
        "infill x.mid",
        "--between is missing",
        "For example: perceiver-music infill take3.mid --between 0:41 0:49.5",
    ),
    ("render", "MIDI is missing", "For example: perceiver-music render song.mid"),
    (
        "compose song.mid",
        "'perceiver-music compose' takes no 'song.mid'",
        "See 'perceiver-music compose --help'.",
    ),
    ("trian", "there is no command 'trian'", "Did you mean train?"),
    ("models", "'perceiver-music models' needs a command", "Give one: list, info, verify."),
    ("models lst", "there is no command 'models lst'", "Did you mean list?"),
    ("models frob", "there is no command 'models frob'", "There are: list, info, verify."),
]


@pytest.mark.parametrize(("words", "message", "hint"), CASES, ids=[case[0] for case in CASES])
def test_two_lines_of_our_own(run: Run, words: str, message: str, hint: str) -> None:
    outcome = run(*words.split()).failed(2)
    assert outcome.error_lines == [f"error: {message}", f"hint: {hint}"]
    assert outcome.stdout == b""


def test_a_file_whose_name_begins_as_an_option(run: Run) -> None:
    hint = "hint: For the file of that name write ./-dash.mid"
    for words in (("continue", "-dash.mid"), ("view", "-q", "-dash.mid")):
        assert (
            run(*words).failed(2).error_lines[1] == "hint: See "
            f"'perceiver-music {words[0]} --help'."
        )
    Path("-dash.mid").write_bytes(b"")
    for words in (("continue", "-dash.mid"), ("view", "-q", "-dash.mid")):
        assert run(*words).failed(2).error_lines[1] == hint
    assert "has no option" not in run("view", "./-dash.mid").failed(65).stderr


def test_the_place_of_a_wrong_setting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_VARIATIONS", "0")
    assert run("compose").failed(2).error_lines == [
        "error: --variations 0 is less than 1",
        "hint: It comes from the environment variable PERCEIVER_MUSIC_VARIATIONS.",
    ]
