"""The same mishap, the same code and a hint that can be followed, whichever command meets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perceiver_music.audio import soundfonts
from tests.cli.conftest import CHECKOUT, Outcome

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]
SHORT = ("--length", "24", "--seed", "1")


@pytest.fixture(autouse=True)
def _tiny(checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


# What is missing, and what is there but something else


@pytest.mark.parametrize(
    "words",
    [
        "continue gone.mid",
        "render gone.mid",
        "render x.mid --soundfont gone.sf2",
        "view gone.mid",
        "tokens gone.mid",
        "tokens --decode gone.json",
        "replay gone.mid",
        "duet --midi-file gone.mid",
        "preprocess gone",
        "evaluate gone.mid",
        "evaluate --data gone.store",
        "train --data gone.store",
        "train --data gone.store --recipe gone.toml",
        "train --resume --output gone",
        "data verify gone",
        "compose --checkpoint gone",
        "models info gone",
        "models verify gone",
        "bench --checkpoint gone",
    ],
)
def test_what_is_missing_cannot_be_read(run: Run, write_midi: WriteMidi, words: str) -> None:
    write_midi("x.mid", num_notes=3)
    outcome = run(*words.split()).failed(74)
    assert "gone" in outcome.error_lines[-2]
    check_hints(run, outcome, words)


@pytest.mark.parametrize(
    "words",
    [
        "continue other",
        "render other",
        "render x.mid --soundfont other",
        "view other",
        "tokens other",
        "tokens --decode other",
        "replay other",
        "replay x.mid",
        "duet --midi-file other",
        "preprocess other",
        "evaluate other",
        "evaluate --data other",
        "evaluate --data folder",
        "train --data other",
        "train --resume --output folder",
        "data verify folder",
        "compose --checkpoint other",
        "compose --checkpoint folder",
        "models info folder",
    ],
)
def test_what_is_something_else_is_refused(run: Run, write_midi: WriteMidi, words: str) -> None:
    write_midi("x.mid", num_notes=3)
    Path("other").write_text("<html>")
    Path("folder").mkdir()
    check_hints(run, run(*words.split()).failed(65), words)


@pytest.mark.parametrize(
    "words", ["data info gone", "data download gone", "render x.mid --synth gone"]
)
def test_a_name_that_is_not_in_our_own_list_is_a_wrong_word(
    run: Run, write_midi: WriteMidi, words: str
) -> None:
    write_midi("x.mid", num_notes=3)
    check_hints(run, run(*words.split()).failed(2), words)


# What is there already


@pytest.mark.parametrize(
    "words",
    [
        f"continue x.mid {' '.join(SHORT)} -o there.mid",
        f"compose {' '.join(SHORT)} -o there.mid",
        f"infill x.mid --between 1 2 {' '.join(SHORT[2:])} -o there.mid",
        "replay made.mid -o there.mid",
        "render x.mid -o there.wav",
        "view x.mid -o there.png",
        "tokens --decode ids.json -o there.mid",
        "duet --midi-file x.mid -o there.mid",
        "preprocess x.mid -o there.store",
        "data download maestro-v3 -o there",
    ],
)
def test_what_exists_is_left_with_advice_that_the_command_can_take(
    run: Run,
    write_midi: WriteMidi,
    filling_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_INFILL_CHECKPOINT", str(filling_checkpoint))
    write_midi("x.mid")
    run("compose", *SHORT, "-o", "made.mid").succeeded()
    Path("ids.json").write_text("[1, 2]")
    for ending in (".mid", ".wav", ".png", ".store", ""):
        Path(f"there{ending}").write_bytes(b"mine")
    outcome = run(*words.split()).failed(73)
    assert "--force" in outcome.error_lines[-1]
    check_hints(run, outcome, words)


def test_without_a_soundfont_render_is_what_takes_one(
    run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundfonts, "default_candidates", lambda: ())
    write_midi("x.mid")
    for words in (
        f"compose {' '.join(SHORT)} --render",
        "view x.mid -o x.html --audio",
        "render x.mid",
    ):
        outcome = run(*words.split()).failed(69)
        assert "render --soundfont" in outcome.error_lines[-1]
        check_hints(run, outcome, words)


def check_hints(run: Run, outcome: Outcome, words: str) -> None:
    """Every option that a hint names is one of the command, or follows another one's name."""
    options = run(words.split()[0], *(w for w in words.split()[1:2] if "." not in w), "--help")
    if options.code:
        options = run(words.split()[0], "--help")
    hint = outcome.error_lines[-1]
    assert hint.startswith("hint: ")
    own = re.sub(r"`[^`]*`|\w+ --data STORE`?", "", hint)
    for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", own):
        assert re.search(rf"(?m)^ +.*{option}\b", options.stdout.decode()), (option, hint)


# The reader that went away


@pytest.mark.parametrize(
    "words",
    [
        "continue x.mid -o out.mid",
        "compose -o -",
        "compose -o out.mid --json",
        "compose -o out.mid --stream",
        "render x.mid -o -",
        "view x.mid",
        "view x.mid -o - --format svg",
        "tokens x.mid",
        "tokens x.mid --json",
        "models list",
        "models info",
        "data list",
        "gone",
    ],
)
def test_141_when_the_reader_leaves_before_all_is_written(
    write_midi: WriteMidi, home: Path, words: str
) -> None:
    write_midi("x.mid", num_notes=3)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    is_generated = words.startswith(("continue", "compose"))
    more = SHORT if is_generated else ("--json",) if words == "gone" else ()
    command = [sys.executable, "-m", "perceiver_music", *words.split(), *more]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141


@pytest.mark.parametrize(
    "words",
    [
        "compose -o x.wav",
        "replay x.mid -o x.wav",
        "tokens --decode x.json -o x.json",
        "duet --midi-file x.mid -o x.wav",
    ],
)
def test_midi_is_not_written_under_another_name(run: Run, words: str) -> None:
    outcome = run(*words.split()).failed(2)
    assert "does not name a MIDI file" in outcome.error_lines[0]
    assert list(Path().iterdir()) == []
