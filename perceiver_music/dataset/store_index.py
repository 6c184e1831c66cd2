"""The index of a token store: which pieces it holds, and what their bytes must hash to.

It is JSON in ASCII, so that a file name that is not UTF-8 survives as its surrogate escapes.
Offsets are not stored: the pieces fill the file without a gap, in the order of the index.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from perceiver_music.music.performance import NOTE_DTYPE

SPLITS: Final = ("train", "validation", "test")
ID_DTYPE: Final = np.dtype("<u2")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a store says of one piece.

    Attributes:
        index: its place in the store.
        title: as the source has it, or the file's name.
        composer: empty where the source does not say.
        split: one of `SPLITS`.
        path: its file, relative to the source, with forward slashes.
        source_sha256: of that file's bytes.
        num_tokens: events, without BOS and EOS.
        num_notes: notes.
        seconds: when its last key is released.

    Raises:
        ValueError: a field is not what it says.
    """

    index: int
    title: str
    composer: str
    split: str
    path: str
    source_sha256: str
    num_tokens: int
    num_notes: int
    seconds: float

    def __post_init__(self) -> None:
        for name in ("title", "composer", "split", "path", "source_sha256"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is not text")
        for name in ("index", "num_tokens", "num_notes"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise ValueError(f"{name} is not a count")
        if type(self.seconds) is not float or not 0 <= self.seconds < math.inf:
            raise ValueError("seconds is not a duration")
        if self.split not in SPLITS:
            raise ValueError(f"there is no split {self.split!r}; there are {', '.join(SPLITS)}")
        if self.num_tokens == 0:
            raise ValueError("a piece has no events")


@dataclass(frozen=True, kw_only=True)
class StoredPiece:
    """A piece and the checksums of its two arrays."""

    piece: Piece
    ids_sha256: str
    notes_sha256: str

    @property
    def ids_size(self) -> int:
        """Bytes of its ids."""
        return self.piece.num_tokens * ID_DTYPE.itemsize

    @property
    def notes_size(self) -> int:
        """Bytes of its notes."""
        return self.piece.num_notes * NOTE_DTYPE.itemsize


@dataclass(frozen=True)
class StoreIndex:
    """Everything that a store says of its contents."""

    tokenizer_name: str
    fingerprint: str
    rows: tuple[StoredPiece, ...]

    def as_bytes(self) -> bytes:
        """The index as it is written."""
        rows = []
        for row in self.rows:
            columns = asdict(row.piece)
            del columns["index"]  # its place in the list says it
            rows.append(columns | {"ids_sha256": row.ids_sha256, "notes_sha256": row.notes_sha256})
        index = {"tokenizer": self.tokenizer_name, "fingerprint": self.fingerprint, "pieces": rows}
        return json.dumps(index, ensure_ascii=True, indent=0).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> StoreIndex:
        """Read an index, checking every field: a matching checksum does not make it true.

        Raises:
            ValueError: it is not an index.
        """
        try:
            index = json.loads(data)
            rows = tuple(_read_row(number, row) for number, row in enumerate(index["pieces"]))
            return cls(str(index["tokenizer"]), str(index["fingerprint"]), rows)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError("this is not the index of a token store") from error


def _read_row(number: int, row: dict[str, Any]) -> StoredPiece:
    columns = dict(row)
    checksums = {name: str(columns.pop(name)) for name in ("ids_sha256", "notes_sha256")}
    return StoredPiece(piece=Piece(index=number, **columns), **checksums)
