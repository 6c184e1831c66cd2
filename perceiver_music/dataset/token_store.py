"""The token store: a data set as ids and notes, in one file that is checked before it is used.

    magic 8 bytes | version, 4 bytes
    for each piece: its ids (uint16) | its notes (`NOTE_DTYPE`, before any grid)
    index: JSON with the tokenizer, its fingerprint, and every piece with its two checksums
    size of the index, 8 bytes | sha256 of all the bytes before it, 32 bytes

Numbers are little-endian. The index comes last so that a writer needs memory for one piece only.
All ids are read into memory when a store is opened; a piece's notes are read when they are asked
for, and checked again then. Nothing is memory-mapped: a file that shrinks under a map kills.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from perceiver_music.dataset.store_index import (
    ID_DTYPE,
    SPLITS,
    Piece,
    StoredPiece,
    StoreIndex,
)
from perceiver_music.errors import InvalidInputError
from perceiver_music.files import (
    PathLike,
    reporting_storage_errors,
    sha256_of_bytes,
    write_atomically,
)
from perceiver_music.music.performance import NOTE_DTYPE, NoteArray
from perceiver_music.tokenizer.base import Tokenizer
from perceiver_music.tokenizer.registry import tokenizer_of

MAGIC: Final = b"PMTOKENS"
VERSION: Final = 1

_HEAD = struct.Struct("<8sI")
_TAIL = struct.Struct("<Q32s")
_CHUNK_BYTES = 1 << 20

Ids = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class EncodedPiece:
    """One piece to be written; the attributes are those of `Piece`."""

    title: str
    composer: str
    split: str
    path: str
    source_sha256: str
    seconds: float
    ids: Ids
    notes: NoteArray


def write_token_store(
    path: PathLike,
    pieces: Iterable[EncodedPiece],
    *,
    tokenizer_name: str,
    fingerprint: str,
    overwrite: bool,
) -> str:
    """Write pieces in their order, and read the store back before it gets its name.

    The bytes depend on the arguments alone: no date, no host, no order of arrival.

    Returns:
        The checksum of the store.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is False.
        StorageError: it cannot be written.
        ValueError: a piece has no ids, or a split that is none.
    """
    with write_atomically(path, overwrite=overwrite) as temporary:
        with temporary.open("wb") as stream:
            _write(stream, pieces, tokenizer_name, fingerprint)
        return TokenStore.open(temporary).sha256


def _write(
    stream: BinaryIO, pieces: Iterable[EncodedPiece], tokenizer_name: str, fingerprint: str
) -> None:
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        stream.write(data)

    put(_HEAD.pack(MAGIC, VERSION))
    rows: list[StoredPiece] = []
    for piece in pieces:
        ids = np.ascontiguousarray(piece.ids, dtype=ID_DTYPE).tobytes()
        notes = np.ascontiguousarray(piece.notes, dtype=NOTE_DTYPE).tobytes()
        put(ids)
        put(notes)
        rows.append(
            StoredPiece(
                piece=Piece(
                    index=len(rows),
                    title=piece.title,
                    composer=piece.composer,
                    split=piece.split,
                    path=piece.path,
                    source_sha256=piece.source_sha256,
                    num_tokens=len(piece.ids),
                    num_notes=len(piece.notes),
                    seconds=piece.seconds,
                ),
                ids_sha256=sha256_of_bytes(ids),
                notes_sha256=sha256_of_bytes(notes),
            )
        )
    data = StoreIndex(tokenizer_name, fingerprint, tuple(rows)).as_bytes()
    put(data)
    size = struct.pack("<Q", len(data))
    digest.update(size)
    stream.write(size + digest.digest())


class TokenStore:
    """An open store. It holds no file open, so it may be sent to other processes."""

    def __init__(self, path: Path, index: StoreIndex, ids: tuple[Ids, ...], sha256: str) -> None:
        self.path = path
        self.sha256 = sha256
        self.tokenizer_name = index.tokenizer_name
        self.fingerprint = index.fingerprint
        self.pieces = tuple(row.piece for row in index.rows)
        self._rows = index.rows
        self._offsets = _offsets(index)
        self._ids = ids

    @classmethod
    def open(cls, path: PathLike) -> TokenStore:
        """Check the whole file, then read the index and all ids.

        Raises:
            StorageError: it is missing or cannot be read.
            InvalidInputError: it is not a token store, of another version or vocabulary,
                truncated or damaged.
        """
        path = Path(path)
        if path.is_dir():
            raise _no_store(path)
        with reporting_storage_errors(path), path.open("rb") as stream:
            index_offset, index_size, sha256 = _verify(stream, path)
            stream.seek(index_offset)
            try:
                index = StoreIndex.from_bytes(stream.read(index_size))
            except ValueError as error:
                raise _damaged(path, "its index cannot be read") from error
            offsets = _offsets(index)
            if offsets[-1] != index_offset:
                raise _damaged(path, "its index does not describe its contents")
            ids = tuple(
                np.frombuffer(
                    _read_checked(stream, offset, row.ids_size, row.ids_sha256, path), ID_DTYPE
                )
                for offset, row in zip(offsets, index.rows, strict=False)
            )
        _check_vocabulary(index, ids, path)
        return cls(path, index, ids, sha256)

    @property
    def tokenizer(self) -> Tokenizer:
        """Whose ids it holds."""
        return tokenizer_of(self.tokenizer_name, self.fingerprint)

    def split(self, name: str) -> tuple[Piece, ...]:
        """Pieces of one split, in the order of the store.

        Raises:
            ValueError: there is no such split.
        """
        if name not in SPLITS:
            raise ValueError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")
        return tuple(piece for piece in self.pieces if piece.split == name)

    def ids(self, piece: Piece) -> Ids:
        """Ids of a piece without BOS and EOS, read-only."""
        return self._ids[piece.index]

    def notes(self, piece: Piece) -> NoteArray:
        """Notes of a piece as its tokenizer means them, before any grid, read-only.

        Raises:
            StorageError: the file cannot be read any more.
            InvalidInputError: the file has changed since it was opened.
        """
        row = self._rows[piece.index]
        offset = self._offsets[piece.index] + row.ids_size
        with reporting_storage_errors(self.path), self.path.open("rb") as stream:
            data = _read_checked(stream, offset, row.notes_size, row.notes_sha256, self.path)
        return np.frombuffer(data, NOTE_DTYPE)


def _offsets(index: StoreIndex) -> list[int]:
    """Where each piece starts, and where the last one ends."""
    sizes = (row.ids_size + row.notes_size for row in index.rows)
    return list(itertools.accumulate(sizes, initial=_HEAD.size))


def _damaged(path: Path, what: str) -> InvalidInputError:
    return InvalidInputError(
        f"the token store is damaged: {what}",
        path=path,
        hint="Make it again with `perceiver-music preprocess`.",
    )


def _no_store(path: Path) -> InvalidInputError:
    return InvalidInputError(
        "is not a token store",
        path=path,
        hint="Make one from MIDI files with `perceiver-music preprocess`.",
    )


def _verify(stream: BinaryIO, path: Path) -> tuple[int, int, str]:
    """Offset and size of the index, and the checksum, of a file that is what it claims to be."""
    head = stream.read(_HEAD.size)
    if head[: len(MAGIC)] != MAGIC:
        raise _no_store(path)
    if len(head) == _HEAD.size and (version := _HEAD.unpack(head)[1]) != VERSION:
        raise InvalidInputError(
            f"is a token store of version {version}; this program reads version {VERSION}",
            path=path,
            hint="Make it again with `perceiver-music preprocess`, or use another release.",
        )
    size = stream.seek(0, 2)
    if size < _HEAD.size + _TAIL.size:
        raise _damaged(path, "it is cut short")
    stream.seek(0)
    digest = hashlib.sha256()
    left = size - 32
    while left:
        chunk = stream.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise _damaged(path, "it is cut short")
        digest.update(chunk)
        left -= len(chunk)
    if stream.read(33) != digest.digest():
        raise _damaged(path, "its checksum does not match; it is cut short or was changed")
    stream.seek(size - _TAIL.size)
    index_size, _ = _TAIL.unpack(stream.read(_TAIL.size))
    index_offset = size - _TAIL.size - index_size
    if index_offset < _HEAD.size:
        raise _damaged(path, "its index is larger than the file")
    return index_offset, index_size, digest.hexdigest()


def _read_checked(stream: BinaryIO, offset: int, size: int, sha256: str, path: Path) -> bytes:
    stream.seek(offset)
    data = stream.read(size)
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise _damaged(path, "it changed while it was in use")
    return data


def _check_vocabulary(index: StoreIndex, ids: tuple[Ids, ...], path: Path) -> None:
    try:
        num_event_ids = tokenizer_of(
            index.tokenizer_name, index.fingerprint
        ).vocabulary.num_event_ids
    except InvalidInputError as error:
        raise InvalidInputError(
            f"the token store was {error.message}",
            path=path,
            hint="Make it again with `perceiver-music preprocess`.",
        ) from None
    if any(len(each) == 0 or int(each.max()) >= num_event_ids for each in ids):
        raise _damaged(path, "a piece is empty, or has ids that are not music")
