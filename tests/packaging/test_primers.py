"""The bundled primers are the ones that their script makes, and sound like a person playing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.bundled import bundled_primers
from perceiver_music.music.midi_file import read_midi

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.name for path in (CHECKOUT / "data" / "primers").glob("*.mid"))


def test_the_script_makes_the_same_bytes(tmp_path: Path) -> None:
    script = CHECKOUT / "data" / "primer_scores" / "make_primers.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(made) == NAMES
    for name, content in made.items():
        assert (CHECKOUT / "data" / "primers" / name).read_bytes() == content, name


def test_a_checkout_finds_them() -> None:
    assert len(NAMES) >= 5
    assert sorted(path.name for path in bundled_primers().glob("*.mid")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_they_are_played_and_not_typed(name: str) -> None:
    file = read_midi(CHECKOUT / "data" / "primers" / name)
    notes = file.performance.notes
    assert file.warnings == ()
    assert 20 <= file.performance.seconds <= 45
    assert notes["velocity"].min() >= 28
    assert notes["velocity"].max() <= 92
    assert len(np.unique(notes["velocity"])) >= 20
    pedal = file.performance.pedal["value"]
    assert pedal.max() >= 88
    assert pedal[-1] == 0
    for pitch in np.unique(notes["pitch"]):
        same = notes[notes["pitch"] == pitch]
        assert (same["end_us"][:-1] < same["start_us"][1:]).all(), (
            "a key is struck while it is down"
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_lists_them(name: str) -> None:
    assert f"`{name}`" in (CHECKOUT / "data" / "README.md").read_text(encoding="utf-8")
