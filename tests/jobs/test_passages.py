"""The training set of a checkpoint: made from a store, kept, carried, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.dataset.token_store import TokenStore, write_token_store
from perceiver_music.errors import (
    InvalidInputError,
)
from perceiver_music.evaluation.passage_index_file import read_passages, write_passages
from perceiver_music.jobs import passages
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer.registry import get_tokenizer
from tests.conftest import made_up_piece


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_store_is_indexed_once(
    tiny_store: TokenStore, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = passages.find(None, tiny_store.path)
    train = tiny_store.split("train")
    assert [piece["title"] for piece in found.pieces] == [piece.title for piece in train]
    assert len(found.text) == sum(piece.num_notes for piece in train)
    assert found.ranges["notes_per_second"][0] < found.ranges["notes_per_second"][2]
    assert "pedal_share" not in found.ranges
    [kept] = cache.rglob("*.index")
    assert kept.stem == tiny_store.sha256
    with monkeypatch.context() as patch:
        patch.setattr(passages, "index_of", None)
        assert passages.find(None, tiny_store.path).pieces == found.pieces
    kept.write_bytes(kept.read_bytes()[:-1])
    assert passages.find(None, tiny_store.path).pieces == found.pieces
    assert read_passages(kept).pieces == found.pieces


def test_a_damaged_store_is_refused_whatever_is_kept_of_it(
    tiny_store: TokenStore, cache: Path, tmp_path: Path
) -> None:
    passages.find(None, tiny_store.path)
    damaged = tmp_path / "damaged.store"
    data = bytearray(tiny_store.path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)  # its last bytes are still the checksum of the whole one
    with pytest.raises(InvalidInputError, match="damaged") as refused:
        passages.find(None, damaged)
    assert refused.value.path == str(damaged)


def test_a_store_with_the_pedal_has_figures_of_what_is_heard(cache: Path, tmp_path: Path) -> None:
    pedalled = get_tokenizer("pedal-performance-623")
    heard = get_tokenizer("maestro-performance-400")
    notes = np.zeros(40, dtype=NOTE_DTYPE)
    notes["start_us"] = np.arange(40) * 500_000
    notes["end_us"] = notes["start_us"] + 100_000
    notes["pitch"] = 40 + np.arange(40)
    notes["velocity"] = 60
    moves = [(0, 127), (9_000_000, 0), (10_000_000, 127), (20_000_000, 0)]
    played = Performance(notes=notes, pedal=np.array(moves, dtype=PEDAL_DTYPE))
    found = {}
    for tokenizer in (pedalled, heard):
        piece = replace(
            made_up_piece("train", 1, 40),
            ids=tokenizer.encode(played),
            notes=tokenizer.notes(played),
        )
        path = tmp_path / f"{tokenizer.name}.store"
        write_token_store(
            path,
            [piece],
            tokenizer_name=tokenizer.name,
            fingerprint=tokenizer.fingerprint,
            overwrite=False,
        )
        found[tokenizer.name] = passages.find(None, path)
    ranges = found[pedalled.name].ranges
    for name, expected in found[heard.name].ranges.items():
        assert np.allclose(ranges[name], expected, rtol=0.02), name
    assert ranges["polyphony"][1] > 5
    assert ranges["pedal_share"][1] == pytest.approx(0.95, abs=0.01)
    # An index that was kept before its figures were of what is heard is made again.
    old = found[pedalled.name]
    [kept] = cache.rglob(f"{old.about['store_sha256']}.index")
    about = {name: value for name, value in old.about.items() if name != "tokenizer"}
    write_passages(kept, replace(old, ranges={}, about=about), overwrite=True)
    assert passages.find(None, tmp_path / f"{pedalled.name}.store").ranges == ranges


def test_a_cache_that_cannot_be_written_is_told_and_no_matter(
    tiny_store: TokenStore, cache: Path
) -> None:
    cache.write_bytes(b"a file in the place of the folder")
    told: list[str] = []
    assert passages.find(None, tiny_store.path, warn=told.append).pieces
    assert len(told) == 1


def test_the_pedal_is_that_of_the_midi_files(tiny_store: TokenStore, tmp_path: Path) -> None:
    from perceiver_music.music.midi_writer import performance_to_midi

    first, *others = tiny_store.split("train")
    pedal = np.array([(0, 127)], dtype=PEDAL_DTYPE)
    midi = performance_to_midi(Performance(notes=tiny_store.notes(first), pedal=pedal))
    (tmp_path / first.path).write_bytes(midi)
    told: list[str] = []
    found = passages.index_of(tiny_store.path, midi_folder=tmp_path, warn=told.append)
    assert found.ranges["pedal_share"] == [1.0, 1.0, 1.0]
    assert len(told) == len(others)


def test_what_unseen_pieces_share_goes_by_length() -> None:
    rows = [{"notes": n, "p95": n} for n in (250, 1_000, 4_000)]
    for num_notes, expected in ((3, 250), (450, 250), (600, 1_000), (99_999, 4_000)):
        found = passages.expected_shared(rows, num_notes)
        assert found is not None
        assert found["p95"] == expected
    assert passages.expected_shared([], 100) is None
