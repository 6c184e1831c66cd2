"""`replay`, from outside: what `continue`, `compose` and `infill` made, made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import mido
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


@pytest.fixture(autouse=True)
def _filling(filling_checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(filling_checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


def made(run: Run, *words: str) -> Path:
    """The file that a command makes."""
    return Path(run(*words, "--seed", "4", "-o", "o/").succeeded().lines[-1])


def test_one_variation_of_each_command(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid", num_notes=20)
    files = [
        made(run, "continue", "p.mid", "--length", "24", "-n", "3"),
        made(run, "continue", "p.mid", "--length", "24", "--last", "2", "--no-primer"),
        made(run, "infill", "p.mid", "--between", "1", "2"),
        made(run, "compose", "--length", "3s", "--ending"),
    ]
    Path("p.mid").unlink()
    for path in files:
        outcome = run("replay", path).succeeded()
        assert outcome.lines == [f"{path.stem}_replayed.mid"]
        assert Path(outcome.lines[0]).read_bytes() == path.read_bytes()
    run("replay", files[0], "-o", files[0]).failed(73)
    assert run("replay", files[0], "-o", "-").succeeded().stdout == files[0].read_bytes()


def test_check_says_so_and_writes_nothing(run: Run) -> None:
    path = made(run, "compose", "--length", "24")
    before = sorted(Path().rglob("*"))
    assert run("replay", path, "--check").succeeded().lines == [f"{path}: the same, byte for byte"]
    fields = run("replay", path, "--check", "--json").object
    assert (fields["schema"], fields["same"], fields["differences"]) == ("replay/1", True, [])
    assert (fields["seed"], fields["made_by"], fields["output"]) == (4, "compose", None)
    assert sorted(Path().rglob("*")) == before
    run("replay", path, "--check", "-o", "x.mid").failed(2)


def test_a_file_that_was_changed(run: Run) -> None:
    path = made(run, "compose", "--length", "24")
    original = path.read_bytes()
    midi = mido.MidiFile(path)
    midi.tracks[0].append(mido.Message("control_change", control=7, value=1))
    midi.save(path)
    assert "was changed" in run("replay", path, "--check").failed(65).stderr
    outcome = run("replay", path, "-o", "as_it_was.mid").succeeded()
    assert "was changed" in outcome.stderr
    assert Path("as_it_was.mid").read_bytes() == original


def test_what_is_missing_is_named(
    run: Run, write_midi: WriteMidi, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(run, "compose", "--length", "24")
    assert (
        "'tiny' here is another"
        in run("replay", path, "--checkpoint", checkpoint).failed(65).stderr
    )
    monkeypatch.delenv("PERCEIVER_MUSIC_CHECKPOINT")
    outcome = run("replay", path, "--json").failed(69)
    assert "needs the checkpoint 'filling'" in outcome.object["error"]["message"]
    assert "--checkpoint" in outcome.object["error"]["hint"]
    write_midi("plain.mid")
    assert "stores no settings" in run("replay", "plain.mid").failed(65).stderr
    run("replay", path, "plain.mid", "gone.mid").failed(3)


def test_nothing_is_overwritten_without_force(run: Run) -> None:
    path = made(run, "compose", "--length", "24")
    Path("x.mid").write_bytes(b"mine")
    run("replay", path, "-o", "x.mid").failed(73)
    run("replay", path, "-o", "x.mid", "--skip-existing").succeeded()
    assert Path("x.mid").read_bytes() == b"mine"
    run("replay", path, "-o", "x.mid", "--force").succeeded()
    assert Path("x.mid").read_bytes() == path.read_bytes()
