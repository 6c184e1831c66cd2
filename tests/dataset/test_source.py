"""Reading one file, and knowing the same piece under another name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceiver_music.dataset.source import (
    Reading,
    Rejection,
    Source,
    identity_of,
    read_source,
    split_of,
)
from perceiver_music.files import sha256_of_bytes
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array

NO_NOTES = note_array([], [], [], [])


def chords(seed: int = 0, *, later_us: int = 0, higher: int = 0, louder: int = 0) -> Performance:
    rng = np.random.default_rng(seed)
    start = np.repeat(np.cumsum(rng.integers(20, 40, 10)), 2) * 10_000
    pitch = np.stack([rng.integers(40, 60, 10), rng.integers(61, 80, 10)], axis=1).ravel()
    start = start + later_us
    return Performance(note_array(start, start + 90_000, pitch + higher, [60 + louder] * 20))


def test_the_same_piece() -> None:
    identity = identity_of(chords())
    assert identity_of(chords(later_us=1_234_567)) == identity
    assert identity_of(chords(louder=20)) == identity
    pedal = np.array([(0, 127)], dtype=PEDAL_DTYPE)
    assert identity_of(Performance(chords().notes, pedal)) == identity
    longer = chords().notes.copy()
    longer["end_us"] += 5_000
    assert identity_of(Performance(longer)) == identity


def test_another_piece() -> None:
    identities = {identity_of(chords(seed)) for seed in range(20)}
    assert len(identities) == 20
    assert identity_of(chords(higher=1)) not in identities
    assert identity_of(Performance(chords().notes[:-1])) not in identities
    assert identity_of(Performance(NO_NOTES))


def test_a_split_is_a_share_of_all_identities() -> None:
    splits = [split_of(sha256_of_bytes(str(number).encode())) for number in range(10_000)]
    shares = {name: splits.count(name) / len(splits) for name in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.02)
    assert split_of("0" * 64) == "train"
    assert split_of("f" * 64) == "test"


def source(path: Path, split: str | None = None) -> Source:
    return Source(file=path, path=path.name, title=path.stem, split=split)


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(performance_to_midi(chords()))
    [reading] = read_source(source(path))
    assert isinstance(reading, Reading)
    assert reading.identity == identity_of(chords())
    assert reading.piece.split == split_of(reading.identity)
    assert not reading.is_official
    [official] = read_source(source(path, split="test"))
    assert isinstance(official, Reading)
    assert official.is_official
    assert official.piece.split == "test"


def test_nothing_is_raised_for_a_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.mid"
    [missing] = read_source(source(path))
    path.write_bytes(b"junk")
    [junk] = read_source(source(path))
    path.write_bytes(performance_to_midi(Performance(NO_NOTES)))
    [silent] = read_source(source(path))

    def bug(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("perceiver_music.dataset.source.parse_midi", bug)
    [ours] = read_source(source(path))
    for outcome in (missing, junk, silent, ours):
        assert isinstance(outcome, Rejection)
        assert outcome.path == "x.mid"
        assert outcome.reason
    assert isinstance(ours, Rejection)
    assert "ZeroDivisionError" in ours.reason


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceiver_music.dataset.source.MAX_FILE_BYTES", 10)
    path = tmp_path / "x.mid"
    path.write_bytes(performance_to_midi(chords()))
    [rejection] = read_source(source(path))
    assert isinstance(rejection, Rejection)
    assert "larger" in rejection.reason
