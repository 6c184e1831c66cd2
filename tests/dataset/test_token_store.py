"""The token store: what goes in comes out, and damage anywhere is refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceiver_music.dataset.store_index import Piece, StoreIndex
from perceiver_music.dataset.token_store import (
    MAGIC,
    VERSION,
    EncodedPiece,
    TokenStore,
    write_token_store,
)
from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError
from perceiver_music.music.performance import note_array
from perceiver_music.tokenizer import vocabulary
from perceiver_music.tokenizer.performance_events import encode_notes

HEAD_SIZE, TAIL_SIZE = 12, 40


def piece(split: str = "train", pitch: int = 60, **changes: object) -> EncodedPiece:
    notes = note_array([0, 500_000], [400_000, 900_000], [pitch, pitch + 4], [64, 80])
    made = EncodedPiece(
        title=f"Étude {pitch}",
        composer="Nobody",
        split=split,
        path=f"folder/{pitch}.mid",
        source_sha256=f"{pitch:064x}",
        seconds=0.9,
        ids=encode_notes(notes),
        notes=notes,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


PIECES = [piece("train", 60), piece("test", 62), piece("validation", 64), piece("train", 66)]


def write(
    path: Path,
    pieces: list[EncodedPiece] = PIECES,
    *,
    fingerprint: str = vocabulary.FINGERPRINT,
    overwrite: bool = False,
) -> str:
    return write_token_store(
        path,
        pieces,
        tokenizer_name="maestro-performance-400",
        fingerprint=fingerprint,
        overwrite=overwrite,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.store"
    write(path)
    return path


def sealed(body: bytes) -> bytes:
    """A store whose checksum is right, whatever it says."""
    return body + hashlib.sha256(body).digest()


def refused(path: Path, data: bytes, match: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=match) as failure:
        TokenStore.open(path)
    assert failure.value.exit_code == 65
    assert failure.value.path == str(path)
    assert failure.value.hint


def test_what_goes_in_comes_out(path: Path) -> None:
    store = TokenStore.open(path)
    assert store.tokenizer_name == "maestro-performance-400"
    assert store.fingerprint == vocabulary.FINGERPRINT
    for number, (stored, given) in enumerate(zip(store.pieces, PIECES, strict=True)):
        assert stored == Piece(
            index=number,
            title=given.title,
            composer=given.composer,
            split=given.split,
            path=given.path,
            source_sha256=given.source_sha256,
            num_tokens=len(given.ids),
            num_notes=2,
            seconds=0.9,
        )
        np.testing.assert_array_equal(store.ids(stored), given.ids)
        np.testing.assert_array_equal(store.notes(stored), given.notes)
    assert [each.index for each in store.split("train")] == [0, 3]
    assert [each.index for each in store.split("test")] == [1]
    with pytest.raises(ValueError, match="no split"):
        store.split("dev")


def test_what_comes_out_cannot_be_changed(path: Path) -> None:
    store = TokenStore.open(path)
    for array in (store.ids(store.pieces[0]), store.notes(store.pieces[0])):
        assert not array.flags.writeable


def test_the_bytes_depend_on_the_pieces_alone(path: Path, tmp_path: Path) -> None:
    sha256 = write(tmp_path / "again.store")
    assert (tmp_path / "again.store").read_bytes() == path.read_bytes()
    assert sha256 == TokenStore.open(path).sha256
    assert write(tmp_path / "other.store", PIECES[::-1]) != sha256


def test_its_checksum_is_of_all_before_it(path: Path) -> None:
    data = path.read_bytes()
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    assert TokenStore.open(path).sha256 == data[-32:].hex()


def test_a_store_without_pieces(tmp_path: Path) -> None:
    write(tmp_path / "empty.store", [])
    assert TokenStore.open(tmp_path / "empty.store").pieces == ()


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mid")
    write(tmp_path / "x.store", [piece(path=name)])
    assert TokenStore.open(tmp_path / "x.store").pieces[0].path == name


def test_a_store_is_not_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        write(path, PIECES[:1])
    assert path.read_bytes() == before
    write(path, PIECES[:1], overwrite=True)
    assert len(TokenStore.open(path).pieces) == 1


@pytest.mark.parametrize(
    "bad", [piece("dev"), piece(ids=np.zeros(0, np.uint16)), piece(seconds=float("nan"))]
)
def test_a_piece_that_cannot_be_stored(tmp_path: Path, bad: EncodedPiece) -> None:
    with pytest.raises(ValueError, match=r"split|events|seconds"):
        write(tmp_path / "x.store", [*PIECES, bad])
    assert list(tmp_path.iterdir()) == []


# Damage


def test_every_byte_counts(path: Path) -> None:
    """Head, ids, notes, index, size and checksum: a change of any byte is seen."""
    whole = path.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        refused(path, bytes(data), "token store")


def test_every_length_counts(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        refused(path, whole[:length], "token store")
    refused(path, whole[:-1], "checksum")
    refused(path, whole + b"\0", "checksum")


def test_another_kind_of_file(path: Path) -> None:
    refused(path, b"", "is not a token store")
    refused(path, b"MThd" + bytes(1_000), "is not a token store")


@pytest.mark.parametrize("version", [0, VERSION + 1, 2**32 - 1])
def test_another_version(path: Path, version: int) -> None:
    body = path.read_bytes()[HEAD_SIZE:-32]
    refused(path, sealed(MAGIC + struct.pack("<I", version) + body), f"of version {version}")


def test_another_vocabulary(path: Path) -> None:
    path.unlink()
    with pytest.raises(InvalidInputError, match="another vocabulary"):
        write(path, fingerprint="0" * 64)
    assert not path.exists()


def test_ids_that_are_no_music(path: Path) -> None:
    path.unlink()
    ids = np.array([vocabulary.PAD], dtype=np.uint16)
    with pytest.raises(InvalidInputError, match="not music"):
        write(path, [piece(ids=ids)])


def test_an_index_larger_than_the_file(path: Path) -> None:
    data = path.read_bytes()
    refused(path, sealed(data[:-TAIL_SIZE] + struct.pack("<Q", 2**63)), "index")


def with_index(path: Path, index: bytes) -> bytes:
    """The same store with another index, and a checksum that is right."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[-TAIL_SIZE:-32])
    return sealed(data[: -TAIL_SIZE - size] + index + struct.pack("<Q", len(index)))


def index_of(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[-TAIL_SIZE:-32])
    return json.loads(data[-TAIL_SIZE - size : -TAIL_SIZE])  # type: ignore[no-any-return]


@pytest.mark.parametrize("index", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000])
def test_an_index_that_is_none(path: Path, index: bytes) -> None:
    refused(path, with_index(path, index), "index cannot be read")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", 3),
        ("split", "dev"),
        ("num_tokens", 0),
        ("num_tokens", -1),
        ("num_tokens", True),
        ("num_notes", 1.0),
        ("seconds", -1.0),
        ("seconds", float("inf")),
        ("more", "than known"),
    ],
)
def test_an_index_with_a_wrong_column(path: Path, column: str, value: object) -> None:
    index = index_of(path)
    index["pieces"][0][column] = value  # type: ignore[index]
    refused(path, with_index(path, json.dumps(index).encode()), "index cannot be read")


def test_an_index_of_other_contents(path: Path) -> None:
    index = index_of(path)
    index["pieces"][0]["num_tokens"] += 1  # type: ignore[index]
    refused(path, with_index(path, json.dumps(index).encode()), "does not describe")
    assert StoreIndex.from_bytes(json.dumps(index).encode()).rows


def test_pieces_that_were_exchanged(path: Path) -> None:
    index = index_of(path)
    pieces = index["pieces"]
    pieces[0]["ids_sha256"], pieces[1]["ids_sha256"] = (  # type: ignore[index]
        pieces[1]["ids_sha256"],  # type: ignore[index]
        pieces[0]["ids_sha256"],  # type: ignore[index]
    )
    refused(path, with_index(path, json.dumps(index).encode()), "damaged")


def test_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        TokenStore.open(tmp_path / "missing.store")
    with pytest.raises(InvalidInputError, match="is not a token store"):
        TokenStore.open(tmp_path)


def test_a_store_that_changes_while_it_is_open(path: Path) -> None:
    store = TokenStore.open(path)
    first, data = store.pieces[0], bytearray(path.read_bytes())
    data[HEAD_SIZE + 2 * first.num_tokens] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="changed"):
        store.notes(first)
    path.write_bytes(data[:20])
    with pytest.raises(InvalidInputError, match="changed"):
        store.notes(first)
    np.testing.assert_array_equal(store.ids(first), PIECES[0].ids)
    path.unlink()
    with pytest.raises(StorageError):
        store.notes(first)
