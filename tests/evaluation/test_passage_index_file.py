"""What is written is read again, note by note; what is damaged is refused."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError, OutputExistsError
from perceiver_music.evaluation import passage_index_file
from perceiver_music.evaluation.note_text import NoteText
from perceiver_music.evaluation.passage_index_file import (
    TrainingPassages,
    read_passages,
    write_passages,
)
from perceiver_music.music.performance import NoteArray, note_array
from tests.faults.hostile_indexes import INDEXES


def piece(seed: int, size: int, longest_gap: int = 400_000) -> NoteArray:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.integers(0, longest_gap, size))
    return note_array(start, start + 1, rng.integers(0, 128, size), np.full(size, 64))


def passages(*pieces: NoteArray) -> TrainingPassages:
    return TrainingPassages(
        text=NoteText.of(pieces),
        pieces=tuple({"title": f"né {i}", "composer": "", "path": ""} for i in range(len(pieces))),
        ranges={"polyphony": [1.0, 2.0, 3.0]},
        unseen=({"notes": 250, "excerpts": 1, "median": 9, "p95": 20, "longest": 20},),
        about={"store_sha256": "0" * 64},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "passages.index"


def test_round_trip(path: Path) -> None:
    """With pauses of minutes, notes at zero, empty pieces and pieces that begin late."""
    late = piece(4, 20)
    late["start_us"] += 3_000_000_000
    written = passages(piece(1, 0), piece(2, 500), piece(3, 30, 90_000_000), piece(5, 0), late)
    write_passages(path, written, overwrite=False)
    read = read_passages(path)
    for name in ("pitch", "step", "first_note"):
        assert getattr(read.text, name).tolist() == getattr(written.text, name).tolist()
    for name in ("pieces", "ranges", "unseen", "about"):
        assert getattr(read, name) == getattr(written, name)
    with pytest.raises(OutputExistsError):
        write_passages(path, written, overwrite=False)


def test_its_bytes_depend_on_its_contents_alone(path: Path) -> None:
    write_passages(path, passages(piece(1, 50)), overwrite=False)
    first = path.read_bytes()
    write_passages(path, passages(piece(1, 50)), overwrite=True)
    assert path.read_bytes() == first


@pytest.mark.parametrize("keep", [0, 5, 16, 60, -1])
def test_a_file_cut_short_is_refused(path: Path, keep: int) -> None:
    write_passages(path, passages(piece(1, 50)), overwrite=False)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInputError) as refused:
        read_passages(path)
    assert "--build-index" in (refused.value.hint or "")


def test_a_changed_byte_and_another_version_are_refused(path: Path) -> None:
    write_passages(path, passages(piece(1, 50)), overwrite=False)
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(InvalidInputError, match="damaged"):
        read_passages(path)
    path.write_bytes(data[:8] + b"\x02" + data[9:])
    with pytest.raises(InvalidInputError, match="version 2"):
        read_passages(path)


@pytest.mark.parametrize("lie", [name for name in INDEXES if "inflate" not in name])
def test_lies_with_a_right_checksum_are_refused(path: Path, lie: str) -> None:
    write_passages(path, passages(piece(1, 5), piece(2, 35), piece(3, 65)), overwrite=False)
    path.write_bytes(INDEXES[lie](path.read_bytes()))
    with pytest.raises(InvalidInputError) as refused:
        read_passages(path)
    assert "--build-index" in (refused.value.hint or "")


def test_what_inflates_costs_no_memory(path: Path) -> None:
    write_passages(path, passages(piece(1, 5)), overwrite=False)
    path.write_bytes(INDEXES["notes that inflate"](path.read_bytes()))
    data = path.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    tracemalloc.start()
    with pytest.raises(ValueError, match="describe"):
        passage_index_file._parsed(data, size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20
