"""Folders of MIDI into a store: the same bytes always, nothing lost without a word."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.dataset.source import identity_of, split_of
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import (
    BusyError,
    InvalidInputError,
    OutputExistsError,
    StorageError,
    UnavailableError,
    UsageError,
)
from perceiver_music.files import sha256_of_bytes, sha256_of_file
from perceiver_music.jobs.preprocess import PreprocessRequest, PreprocessResult, run
from perceiver_music.jobs.progress import Progress
from perceiver_music.locks import exclusive_lock
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array
from perceiver_music.tokenizer import vocabulary
from perceiver_music.tokenizer.performance_events import encode

NUM_PIECES = 12


def music(seed: int, num_notes: int = 20) -> Performance:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.integers(50, 300, num_notes)) * 1_000
    pitch = rng.integers(40, 90, num_notes)
    velocity = rng.integers(20, 120, num_notes)
    pedal = np.array([(0, 100), (int(start[5]), 0)], dtype=PEDAL_DTYPE)
    return Performance(note_array(start, start + 45_000, pitch, velocity), pedal)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pieces in two folders of which one is hidden in the other."""
    folder = tmp_path / "music"
    for seed in range(NUM_PIECES):
        path = folder / ("deep" if seed % 2 else ".") / f"{seed}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(performance_to_midi(music(seed)))
    return folder


def prepare(
    *sources: Path, output: Path, workers: int = 1, overwrite: bool = False
) -> PreprocessResult:
    names = tuple(str(source) for source in sources)
    request = PreprocessRequest(sources=names, output=output, workers=workers, overwrite=overwrite)
    return run(request)


def test_a_folder(folder: Path, tmp_path: Path) -> None:
    result = prepare(folder, output=tmp_path / "x.store")
    store = TokenStore.open(result.store)
    assert (result.rejected, result.duplicates) == ((), ())
    assert (store.sha256, store.fingerprint) == (result.sha256, vocabulary.FINGERPRINT)
    assert store.tokenizer_name == result.tokenizer
    assert len(store.pieces) == NUM_PIECES
    for piece in store.pieces:
        performance = music(int(piece.title))
        data = (folder / piece.path).read_bytes()
        np.testing.assert_array_equal(store.ids(piece), encode(performance))
        assert piece.source_sha256 == sha256_of_bytes(data)
        assert piece.num_notes == len(store.notes(piece)) == performance.num_notes
        assert piece.split == split_of(identity_of(performance))


def test_what_it_says_is_what_the_store_holds(folder: Path, tmp_path: Path) -> None:
    fields = prepare(folder, output=tmp_path / "x.store").as_json()
    store = TokenStore.open(tmp_path / "x.store")
    assert fields["store_sha256"] == store.sha256
    for split, summary in fields["splits"].items():  # type: ignore[attr-defined]
        pieces = store.split(split)
        assert summary == {
            "pieces": len(pieces),
            "notes": sum(len(store.notes(piece)) for piece in pieces),
            "events": sum(len(store.ids(piece)) for piece in pieces),
            "seconds": sum(piece.seconds for piece in pieces),
        }


def test_any_number_of_workers_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.mid").write_bytes(b"junk")
    shutil.copy(folder / "0.mid", folder / "again.mid")
    results = [
        prepare(folder, output=tmp_path / f"{workers}.store", workers=workers) for workers in (1, 2)
    ]
    assert len({sha256_of_file(result.store) for result in results}) == 1
    assert results[0].rejected == results[1].rejected
    assert results[0].duplicates == results[1].duplicates


def test_the_store_does_not_depend_on_where_the_folder_is(folder: Path, tmp_path: Path) -> None:
    one = prepare(folder, output=tmp_path / "one.store")
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(folder, moved)
    assert prepare(moved, output=tmp_path / "two.store").sha256 == one.sha256


BAD = {
    "empty.mid": b"",
    "html.mid": b"<html>404</html>",
    "head.mid": b"MThd\0\0\0\6\0\0\0\1\0\0",
    "silent.mid": performance_to_midi(Performance(note_array([], [], [], []))),
    "instant.mid": performance_to_midi(Performance(note_array([0, 9], [0, 9], [60, 62], [1, 1]))),
}


def test_bad_files_are_listed_and_stop_nothing(folder: Path, tmp_path: Path) -> None:
    good = prepare(folder, output=tmp_path / "good.store")
    for name, data in BAD.items():
        (folder / name).write_bytes(data)
    result = prepare(folder, output=tmp_path / "x.store")
    assert sorted(rejection.path for rejection in result.rejected) == sorted(BAD)
    assert all(rejection.reason for rejection in result.rejected)
    assert result.sha256 == good.sha256
    reasons = {rejection.path: rejection.reason for rejection in result.rejected}
    assert reasons["silent.mid"] == "has no piano notes"
    nothing_left = "has no piano notes; 2 notes have no length and are left out"
    assert reasons["instant.mid"] == nothing_left


def test_duplicates_are_dropped(folder: Path, tmp_path: Path) -> None:
    performance = music(3)
    louder = performance.notes.copy()
    louder["velocity"] = 100
    louder["start_us"] += 2_000_000
    louder["end_us"] += 2_000_000
    (folder / "copy.mid").write_bytes(performance_to_midi(performance))
    (folder / "saved again.mid").write_bytes(performance_to_midi(Performance(louder)))
    result = prepare(folder, output=tmp_path / "x.store")
    assert len(TokenStore.open(result.store).pieces) == NUM_PIECES
    involved = {path for pair in result.duplicates for path in pair}
    assert involved == {"deep/3.mid", "copy.mid", "saved again.mid"}
    assert len(result.duplicates) == 2


def test_a_piece_is_never_in_two_splits(folder: Path, tmp_path: Path) -> None:
    """Also not across stores that are made of different folders, under different names."""
    splits = {
        piece.source_sha256: piece.split
        for piece in TokenStore.open(prepare(folder, output=tmp_path / "x.store").store).pieces
    }
    half = tmp_path / "half"
    half.mkdir()
    for seed in range(0, NUM_PIECES, 2):
        shutil.copy(folder / f"{seed}.mid", half / f"renamed {seed}.mid")
    again = TokenStore.open(prepare(half, output=tmp_path / "half.store").store)
    assert {piece.source_sha256: piece.split for piece in again.pieces}.items() <= splits.items()


def test_one_file_alone_is_trained_on(tmp_path: Path) -> None:
    seeds = (seed for seed in range(99) if split_of(identity_of(music(seed))) == "test")
    path = tmp_path / "only.mid"
    path.write_bytes(performance_to_midi(music(next(seeds))))
    result = prepare(path, output=tmp_path / "x.store")
    assert result.splits["train"].pieces == 1
    assert result.splits["test"].pieces == 0


def maestro(folder: Path, splits: list[str]) -> Path:
    rows = [f"Nobody,Piece {number},{split},{number}.mid" for number, split in enumerate(splits)]
    head = "canonical_composer,canonical_title,split,midi_filename"
    (folder / "maestro-v3.0.0.csv").write_text("\n".join([head, *rows]) + "\n")
    for number in range(len(splits)):
        (folder / f"{number}.mid").write_bytes(performance_to_midi(music(number)))
    return folder


def test_official_splits_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "maestro"
    folder.mkdir()
    maestro(folder, ["test", "validation", "train", "test"])
    (folder / "2.mid").write_bytes((folder / "0.mid").read_bytes())  # a repeat is kept too
    (folder / "unlisted.mid").write_bytes(performance_to_midi(music(50)))
    result = prepare(folder, output=tmp_path / "x.store")
    assert {name: split.pieces for name, split in result.splits.items()} == {
        "train": 1,
        "validation": 1,
        "test": 2,
    }
    pieces = TokenStore.open(result.store).pieces
    assert {(piece.title, piece.composer, piece.split) for piece in pieces} == {
        ("Piece 0", "Nobody", "test"),
        ("Piece 1", "Nobody", "validation"),
        ("Piece 2", "Nobody", "train"),
        ("Piece 3", "Nobody", "test"),
    }


def test_an_official_test_set_gives_nothing_to_train_on(tmp_path: Path) -> None:
    folder = tmp_path / "maestro"
    folder.mkdir()
    result = prepare(maestro(folder, ["test", "test"]), output=tmp_path / "x.store")
    assert result.splits["test"].pieces == 2


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, data in BAD.items():
        (folder / name).write_bytes(data)
    with pytest.raises(InvalidInputError, match=f"none of {len(BAD)} files") as failure:
        prepare(folder, output=tmp_path / "out" / "x.store")
    assert failure.value.exit_code == 65
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        prepare(tmp_path / "missing", output=tmp_path / "x.store")
    with pytest.raises(InvalidInputError):
        prepare(tmp_path, output=tmp_path / "x.store")
    with pytest.raises(UsageError):
        PreprocessRequest(sources=())
    with pytest.raises(UsageError):
        PreprocessRequest(sources=("x",), workers=0)


def test_only_note_sequences_without_note_seq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("note_seq", "note_seq.protobuf"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "x.pb").write_bytes(b"")
    with pytest.raises(UnavailableError) as failure:
        prepare(tmp_path / "x.pb", output=tmp_path / "x.store")
    assert failure.value.exit_code == 69


def test_a_store_that_is_there(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.store"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError):
        prepare(folder, output=path)
    assert path.read_bytes() == b"old"
    prepare(folder, output=path, overwrite=True)
    assert len(TokenStore.open(path).pieces) == NUM_PIECES


def test_two_at_once(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.store"
    with exclusive_lock(path), pytest.raises(BusyError):
        prepare(folder, output=path)
    assert not path.exists()


def test_progress(folder: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    request = PreprocessRequest(sources=(str(folder),), output=tmp_path / "x.store", workers=1)
    run(request, reports.append)
    assert [report.done for report in reports] == list(range(1, NUM_PIECES + 1))
    assert {report.total for report in reports} == {NUM_PIECES}


def test_where_the_store_goes_when_nobody_says(folder: Path) -> None:
    request = PreprocessRequest(sources=(f"{folder}/", "other"))
    assert request.store_path == Path("data/music.store")
    assert PreprocessRequest(sources=(f"{folder}/0.mid",)).store_path == Path("data/0.store")
