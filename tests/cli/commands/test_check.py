"""`check` from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.jobs.duet_file import duet_midi
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


@pytest.fixture
def store(tiny_store: TokenStore) -> str:
    return str(tiny_store.path)


def write_copy(path: str, tiny_store: TokenStore, *, shift: int, stretch: float) -> None:
    """Thirty notes of the third piece among others, moved and stretched."""
    piece = tiny_store.notes(tiny_store.split("train")[2])[20:50]
    rng = np.random.default_rng(0)
    start = np.concatenate(
        (
            np.arange(20) * 150_000,
            4_000_000 + (piece["start_us"] - piece["start_us"][0]) * stretch,
            30_000_000 + np.arange(20) * 150_000,
        )
    ).astype(np.int64)
    pitch = np.concatenate(
        (rng.integers(30, 100, 20), piece["pitch"].astype(int) + shift, rng.integers(30, 100, 20))
    )
    notes = note_array(start, start + 90_000, pitch, np.full(70, 64))
    Path(path).write_bytes(performance_to_midi(Performance(notes=notes)))


@pytest.mark.parametrize(("shift", "stretch"), [(0, 1.0), (5, 1.0), (-3, 1.1)])
def test_a_copy_is_found(
    run: Run, tiny_store: TokenStore, store: str, shift: int, stretch: float
) -> None:
    write_copy("copy.mid", tiny_store, shift=shift, stretch=stretch)
    fields = run("check", "copy.mid", "--data", store, "--json").succeeded().object
    assert fields["schema"] == "check/1"
    assert fields["input"] == "copy.mid"
    assert 30 <= fields["longest_shared_notes"] <= 31
    assert fields["shared_with"]["title"] == "piece 3"
    assert fields["transposition"] == shift
    assert fields["shared_at_seconds"] == pytest.approx(4, abs=0.2)
    assert fields["same_rhythm"] > 0.9
    ratio = fields["longest_shared_seconds"] / fields["shared_with"]["seconds"]
    assert ratio == pytest.approx(stretch, abs=0.02)
    statistics = fields["statistics"]
    assert sum(statistics["pitch_classes"]) == pytest.approx(1)
    assert statistics["notes"] == 70
    for name in ("notes_per_second", "polyphony", "velocity_mean", "repeated_share"):
        low, middle, high = fields["real_pieces"][name]
        assert low <= middle <= high
    assert "velocity_spread" in fields["unusual"]


def test_for_people(run: Run, tiny_store: TokenStore, store: str) -> None:
    write_copy("copy.mid", tiny_store, shift=5, stretch=1.0)
    outcome = run("check", "copy.mid", "--data", store).succeeded()
    text = " ".join(outcome.stdout.decode().split())
    assert "30 notes" in text or "31 notes" in text
    assert "piece 3" in text
    assert "5 semitones higher" in text
    assert "nine of ten real pieces" in text
    assert "pedal" in text
    marks = {line.split("  ")[0]: line.split()[-1] for line in outcome.lines if line}
    assert marks["velocity, spread"] == "lower"  # all are 64
    assert "Lower or higher is no fault" in text


def test_its_sentences_keep_to_a_narrow_terminal(
    run: Run, tiny_store: TokenStore, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_copy("copy.mid", tiny_store, shift=5, stretch=1.0)
    words = ("check", "copy.mid", "--data", store)
    monkeypatch.delenv("COLUMNS")
    wide = run(*words).succeeded()
    monkeypatch.setenv("COLUMNS", "40")
    narrow = run(*words).succeeded()
    sentences = narrow.lines[: narrow.lines.index("")]
    assert len(sentences) > wide.lines.index("")
    assert all(len(line) <= 40 for line in sentences)
    assert narrow.stdout.split() == wide.stdout.split()


def test_only_what_is_new_counts(
    run: Run, write_midi: WriteMidi, checkpoint: Path, store: str
) -> None:
    write_midi("x.mid", num_notes=12)
    words = ("--length", "40", "--seed", "3", "--checkpoint", checkpoint, "--device", "cpu")
    [made] = run("continue", "x.mid", *words).succeeded().lines
    fields = run("check", made, "--data", store, "--json").succeeded().object
    assert fields["part"] == "new"
    whole = run("check", made, "--data", store, "--whole", "--json").succeeded().object
    assert whole["part"] == "all"
    assert whole["statistics"]["notes"] == fields["statistics"]["notes"] + 12
    shown = run("view", made, "--json").succeeded().object
    assert fields["part_seconds"] == shown["new_seconds"]
    assert whole["part_seconds"] == [0, shown["seconds"]]


def test_of_a_duet_only_the_answers_count(
    run: Run, write_midi: WriteMidi, checkpoint: Path, store: str
) -> None:
    write_midi("x.mid", num_notes=12)
    words = ("--length", "2s", "--seed", "3", "--checkpoint", checkpoint, "--device", "cpu")
    made = run("duet", "--midi-file", "x.mid", "-o", "d.mid", *words, "--json").succeeded().object
    fields = run("check", "d.mid", "--data", store, "--json").succeeded().object
    assert fields["part"] == "new"
    assert fields["statistics"]["notes"] == made["answered_notes"]
    begin, end = fields["part_seconds"]
    heard = parse_midi(Path("d.mid").read_bytes(), name="d")
    answers = heard.performance.notes[heard.note_ticks["channel"] == 1]
    assert begin == pytest.approx(answers["start_us"].min() / 1e6)
    assert begin > 1
    assert end == pytest.approx(answers["end_us"].max() / 1e6)


def test_the_pedal_of_a_player_does_not_hold_the_answers(run: Run, store: str) -> None:
    starts = np.arange(8) * 500_000
    played = note_array(starts, starts + 100_000, 40 + np.arange(8), np.full(8, 60))
    down = np.array([(0, 127), (9_000_000, 0)], dtype=PEDAL_DTYPE)
    answers = note_array(starts + 4_000_000, starts + 4_100_000, 70 + np.arange(8), np.full(8, 60))

    def notes_at_once(*words: str, player: Performance, answered: Performance) -> float:
        midi = duet_midi(player, answered, title=b"", settings={"seed": 1})
        Path("d.mid").write_bytes(midi)
        fields = run("check", "d.mid", "--data", store, "--json", *words).succeeded().object
        return float(fields["statistics"]["polyphony"])

    pedalled, dry = Performance(played, down), Performance(played)
    plain = notes_at_once(player=dry, answered=Performance(answers))
    assert notes_at_once(player=pedalled, answered=Performance(answers)) == plain
    assert notes_at_once(player=dry, answered=Performance(answers, down)) > plain
    one = notes_at_once("--whole", player=pedalled, answered=Performance(answers))
    both = notes_at_once("--whole", player=pedalled, answered=Performance(answers, down))
    assert plain < one < both


def test_a_batch_with_a_bad_file(
    run: Run, write_midi: WriteMidi, store: str, small_midi: Callable[..., bytes]
) -> None:
    write_midi("f/a.mid")
    Path("f/bad.mid").write_bytes(b"junk")
    outcome = run("check", "f", "--data", store, "--json").failed(3)
    assert [("error" in fields) for fields in outcome.objects] == [False, True]
    run("check", "gone.mid", "--data", store).failed(74)
    assert run("check", "-", "--data", store, "--json", stdin=small_midi()).succeeded()
    write_midi("silent.mid", num_notes=0)
    run("check", "silent.mid", "--data", store).failed(65)


def test_a_checkpoint_without_an_index(run: Run, write_midi: WriteMidi, checkpoint: Path) -> None:
    write_midi("x.mid")
    outcome = run("check", "x.mid", "--checkpoint", checkpoint).failed(69)
    assert "--data STORE" in outcome.stderr


@pytest.mark.parametrize(
    "words",
    [(), ("--build-index",), ("x.mid", "--force"), ("x.mid", "--build-index", "--data", "s")],
    ids=" ".join,
)
def test_wrong_words(run: Run, words: tuple[str, ...]) -> None:
    run("check", *words).failed(2)


def test_the_index_of_a_checkpoint_is_built(
    run: Run, checkpoint: Path, store: str, write_midi: WriteMidi
) -> None:
    import shutil

    shutil.copytree(checkpoint, "mine")
    words = ("check", "--build-index", "--data", store, "--checkpoint", "mine")
    assert run(*words).succeeded().lines == ["mine/passages.index"]
    run(*words).failed(73)
    fields = run(*words, "--force", "--json").succeeded().object
    assert (fields["pieces"], fields["outputs"]) == (3, ["mine/passages.index"])
    run("models", "verify", "mine").succeeded()
    write_midi("x.mid")
    assert run("check", "x.mid", "--checkpoint", "mine", "--json").succeeded()
