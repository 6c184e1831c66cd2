"""`infill`, from outside, with a model of random weights."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import mido
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]
GAP = ("--between", "1", "0:02.5")


@pytest.fixture(autouse=True)
def _filling(filling_checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(filling_checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


def test_with_no_other_word(run: Run, write_midi: WriteMidi) -> None:
    write_midi("elsewhere/take.mid", num_notes=20)
    outcome = run("infill", "elsewhere/take.mid", *GAP).succeeded()
    [seed] = [line[6:] for line in outcome.error_lines if line.startswith("seed: ")]
    assert outcome.lines == [f"take_infilled_{seed}.mid"]
    assert mido.MidiFile(outcome.lines[0]).length > 0


def test_its_object(run: Run, write_midi: WriteMidi) -> None:
    write_midi("t.mid", num_notes=20)
    fields = run("infill", "t.mid", *GAP, "--seed", "7", "-o", "o.mid", "--json").object
    assert (fields["schema"], fields["inputs"], fields["outputs"]) == (
        "infill/1",
        ["t.mid"],
        ["o.mid"],
    )
    assert (fields["primer"], fields["output"], fields["seed"]) == ("t.mid", "o.mid", 7)
    assert (fields["between"], fields["ended"]) == ([1.0, 2.5], "length")
    assert fields["primer_events"] > 0
    assert 0 < fields["seconds"] <= 1.5
    for name in ("index", "events", "notes", "checkpoint", "checkpoint_sha256", "sampling"):
        assert name in fields


@pytest.mark.parametrize(("words", "times_as_many"), [((), 2), (("--latents", "32"), 1)])
def test_latents_reach_back_over_what_follows(
    run: Run, write_midi: WriteMidi, words: tuple[str, ...], times_as_many: int
) -> None:
    write_midi("t.mid", num_notes=20)
    found = run("infill", "t.mid", *GAP, "-o", "o.mid", "--json", *words).succeeded()
    plain = run("continue", "t.mid", "--length", "8", "-o", "c.mid", "--json").succeeded()
    assert found.object["latents"] == times_as_many * plain.object["latents"] == times_as_many * 32


def test_many_files_and_variations(run: Run, write_midi: WriteMidi) -> None:
    for name in ("a", "b"):
        write_midi(f"f/{name}.mid", seed=ord(name), num_notes=20)
    Path("f/bad.mid").write_bytes(b"<html>")
    outcome = run("infill", "f", *GAP, "-n", "2", "--seed", "5", "-o", "o/", "--json").failed(3)
    codes = [item.get("error", {}).get("code") for item in outcome.objects]
    assert codes == [None, None, None, None, 65, 65]
    names = sorted(path.name for path in Path("o").iterdir())
    assert names == [f"{stem}_infilled_5_{i}.mid" for stem in "ab" for i in (1, 2)]
    alone = run("infill", "f/b.mid", *GAP, "-n", "2", "--seed", "5", "-o", "x/").succeeded()
    assert Path(alone.lines[1]).read_bytes() == Path("o/b_infilled_5_2.mid").read_bytes()


def test_through_pipes(run: Run, small_midi: Callable[..., bytes]) -> None:
    outcome = run("infill", "-", *GAP, "-o", "-", stdin=small_midi(num_notes=20)).succeeded()
    assert mido.MidiFile(file=io.BytesIO(outcome.stdout)).length > 0


def test_a_checkpoint_that_has_not_learned_it(
    run: Run, write_midi: WriteMidi, checkpoint: Path
) -> None:
    for name in ("a.mid", "b.mid"):
        write_midi(name, num_notes=20)
    arguments = ("infill", "a.mid", "b.mid", *GAP, "--checkpoint", checkpoint)
    error, hint = run(*arguments).failed(69).error_lines
    assert "'tiny' has not learned to fill gaps" in error
    assert "--checkpoint" in hint


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--between", "1"),
        ("--between", "2", "1"),
        ("--between", "1", "1"),
        ("--between", "soon", "later"),
        ("--between", "1", "1.01"),
        ("--between", "500", "505"),
        ("--between", "0", "3:00"),
        (*GAP, "--length", "5s"),
        (*GAP, "-o", "song.wav"),
    ],
    ids=" ".join,
)
def test_wrong_words(run: Run, write_midi: WriteMidi, words: tuple[str, ...]) -> None:
    write_midi("t.mid", num_notes=20)
    run("infill", "t.mid", *words).failed(2)
    assert [path.name for path in Path().iterdir()] == ["t.mid"]


def test_a_gap_beyond_the_end_is_told_of(
    run: Run, write_midi: WriteMidi, filling_checkpoint: Path
) -> None:
    write_midi("x.mid")
    words = ("--between", "1", "100", "--checkpoint", filling_checkpoint, "--device", "cpu")
    lines = run("infill", "x.mid", *words, "-o", "o.mid").succeeded().error_lines
    assert any("before the 100 s of --between: music is added" in line for line in lines)
