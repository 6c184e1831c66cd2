"""MAESTRO's CSV: its splits are taken at their word, its file names are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceiver_music.dataset.maestro import find_maestro_csv, read_maestro_csv
from perceiver_music.errors import InvalidInputError, StorageError

HEAD = "canonical_composer,canonical_title,split,year,midi_filename,duration\n"


def listing(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "maestro-v3.0.0.csv"
    path.write_text(head + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "maestro"
    (folder / "2004").mkdir(parents=True)
    for name in ("2004/a.midi", "2004/b.midi"):
        (folder / name).write_bytes(b"music")
    (tmp_path / "outside.midi").write_bytes(b"music")
    return folder


def test_its_rows(folder: Path) -> None:
    path = listing(
        folder,
        'Frédéric Chopin,"Étude, Op. 10",train,2004,2004/a.midi,1.5',
        ",,test,2004,2004/b.midi,2.5",
    )
    found = read_maestro_csv(path)
    assert found.rejections == ()
    first, second = found.sources
    assert (first.title, first.composer, first.split) == (
        "Étude, Op. 10",
        "Frédéric Chopin",
        "train",
    )
    assert (first.file, first.path) == (folder / "2004" / "a.midi", "2004/a.midi")
    assert (second.title, second.composer, second.split) == ("b", "", "test")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,x,train,2004,2004/missing.midi,1", "not there"),
        ("x,x,train,2004,2004,1", "not there"),
        ("x,x,dev,2004,2004/b.midi,1", "split 'dev'"),
        ("x,x,train,2004,2004/a.midi,1", "twice"),
        ("x,x,train,2004,../outside.midi,1", "outside"),
        ("x,x,train,2004,2004/../../outside.midi,1", "outside"),
        ("x,x,train,2004,/etc/passwd,1", "outside"),
        ("x,x,train,2004,,1", "outside"),
        ("x", "outside"),
    ],
)
def test_a_row_that_leads_to_no_file(folder: Path, row: str, reason: str) -> None:
    found = read_maestro_csv(listing(folder, "x,x,train,2004,2004/a.midi,1", row))
    assert len(found.sources) == 1
    [rejection] = found.rejections
    assert reason in rejection.reason


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (HEAD.encode(), "no piece"),
        (b"", "no column"),
        (b"split,midi_filename\ntrain,a.midi\n", "canonical_composer"),
        (HEAD.encode() + b"x,\xff,train,2004,2004/a.midi,1\n", "UTF-8"),
        (HEAD.encode() + b'x,"x,train,2004,2004/a.midi,1\n', "CSV"),
    ],
)
def test_what_is_no_listing(folder: Path, data: bytes, match: str) -> None:
    path = folder / "maestro-v3.0.0.csv"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=match) as failure:
        read_maestro_csv(path)
    assert failure.value.exit_code == 65


def test_finding_it(folder: Path) -> None:
    assert find_maestro_csv(folder) is None
    path = listing(folder)
    (folder / "maestro-v3.0.0.manifest.csv").write_text("not it")
    assert find_maestro_csv(folder) == path
    (folder / "maestro-v2.0.0.csv").write_text("nor this, but who knows")
    with pytest.raises(InvalidInputError, match="several"):
        find_maestro_csv(folder)


def test_a_listing_that_is_gone(folder: Path) -> None:
    with pytest.raises(StorageError):
        read_maestro_csv(folder / "maestro-v3.0.0.csv")


def test_the_real_one(shared_data: Path) -> None:
    path = find_maestro_csv(shared_data / "maestro-v3.0.0")
    assert path is not None
    found = read_maestro_csv(path)
    assert found.rejections == ()
    splits = [source.split for source in found.sources]
    counts = {split: splits.count(split) for split in ("train", "validation", "test")}
    assert counts == {"train": 962, "validation": 137, "test": 177}
