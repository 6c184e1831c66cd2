"""The training set as one small file that lies beside a checkpoint: what `check` compares with.

    magic 8 bytes | version, 4 bytes | size of the description, 4 bytes
    description: zlib of JSON with the pieces, the ranges of their figures, and three sizes
    steps from pitch to pitch (uint8, modulo 256), zlib
    steps from onset to onset in 10 ms (uint8; 255 means: look among the long ones), zlib
    long steps (int32), zlib: those of 255 and more, and where a piece begins
    sha256 of all the bytes before it, 32 bytes

Pitches and onsets are exact on the grid of 10 ms, so the search is as exact as with the data set;
durations, velocities and the pedal are not in it. MAESTRO's train split takes 7 MB.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perceiver_music.errors import InvalidInputError
from perceiver_music.evaluation.note_text import NoteText
from perceiver_music.files import PathLike, read_bytes, write_bytes_atomically

MAGIC: Final = b"PMPASSAG"
VERSION: Final = 1
_HEAD = struct.Struct("<8sII")
_DIGEST_BYTES = 32
_LONG = 255
_NUM_PITCHES = 128
_LEVEL = 6
_MAX_BYTES = 256 << 20
_LEAST_INFLATED_BYTES = 4 << 20
_MOST_INFLATED = 16
"""Times the file's size that a part may have when it is inflated; all of MAESTRO's have twice."""
_LIES = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError),
    *(zlib.error, RecursionError),
)
"""What it may come to when an index does not describe its own contents."""
_MAKE_AGAIN = "Make it again: `perceiver-music check --build-index --data STORE`."


@dataclass(frozen=True, kw_only=True)
class TrainingPassages:
    """A training set to compare with.

    Attributes:
        text: the notes of all its pieces.
        pieces: `title`, `composer` and `path` of each.
        ranges: name of a figure -> its 5th, 50th and 95th percentile over the pieces.
        unseen: for excerpts of some lengths (`notes`) of pieces outside the training set, how
            long a passage they share with it: `median`, `p95`, `longest`.
        about: `store_sha256`, `source`, `licence`.
    """

    text: NoteText
    pieces: tuple[Mapping[str, str], ...]
    ranges: Mapping[str, Any]
    unseen: tuple[Mapping[str, Any], ...]
    about: Mapping[str, Any]


def write_passages(path: PathLike, passages: TrainingPassages, *, overwrite: bool) -> None:
    """Write the file.

    Raises:
        OutputExistsError: it exists and is not to be overwritten.
        StorageError: it cannot be written.
    """
    write_bytes_atomically(path, _as_bytes(passages), overwrite=overwrite)


def _as_bytes(passages: TrainingPassages) -> bytes:
    text = passages.text
    pitch = np.diff(text.pitch, prepend=np.uint8(0)).astype(np.uint8)
    step = np.diff(text.step, prepend=np.int32(0))
    begins = text.first_note[:-1][np.diff(text.first_note) > 0]
    step[begins] = text.step[begins]
    is_long = step >= _LONG
    is_long[begins] = True
    short = np.where(is_long, _LONG, step).astype(np.uint8)
    arrays = (pitch, short, step[is_long].astype("<i4"))
    parts = [zlib.compress(array.tobytes(), _LEVEL) for array in arrays]
    description = {
        "pieces": list(passages.pieces),
        "notes": np.diff(text.first_note).tolist(),
        "ranges": dict(passages.ranges),
        "unseen": list(passages.unseen),
        "about": dict(passages.about),
        "sizes": [len(part) for part in parts],
    }
    head = zlib.compress(json.dumps(description, sort_keys=True).encode("ascii"), _LEVEL)
    data = b"".join([_HEAD.pack(MAGIC, VERSION, len(head)), head, *parts])
    return data + hashlib.sha256(data).digest()


def read_passages(path: PathLike) -> TrainingPassages:
    """Read the file and check it.

    Raises:
        StorageError: it is missing or cannot be read.
        InvalidInputError: it is none, of another version, cut short or damaged.
    """
    data = read_bytes(path, limit=_MAX_BYTES)
    if data[: len(MAGIC)] != MAGIC or len(data) < _HEAD.size + _DIGEST_BYTES:
        raise InvalidInputError("is not an index of passages", path=path, hint=_MAKE_AGAIN)
    _, version, head_size = _HEAD.unpack_from(data)
    if version != VERSION:
        raise InvalidInputError(
            f"is an index of version {version}; this program reads version {VERSION}",
            path=path,
            hint=_MAKE_AGAIN,
        )
    if hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise InvalidInputError("is damaged or cut short", path=path, hint=_MAKE_AGAIN)
    try:
        return _parsed(data, head_size)
    except _LIES as error:
        raise InvalidInputError(
            "is an index that does not describe its own contents", path=path, hint=_MAKE_AGAIN
        ) from error


def _parsed(data: bytes, head_size: int) -> TrainingPassages:
    offset = _HEAD.size + head_size
    most = _LEAST_INFLATED_BYTES + _MOST_INFLATED * len(data)
    description = json.loads(_inflated(data[_HEAD.size : offset], most))
    _check(description)
    parts = []
    for size in description["sizes"]:
        parts.append(_inflated(data[offset : offset + size], most))
        offset += size
    short = np.frombuffer(parts[1], np.uint8)
    pieces = tuple(description["pieces"])
    _demand(len(pieces) == len(description["notes"]))
    _demand(0 < len(short) == len(parts[0]) == sum(description["notes"]))
    first_note = np.cumsum([0, *description["notes"]])
    gaps = short.astype(np.int32)
    gaps[short == _LONG] = np.frombuffer(parts[2], "<i4")
    onset = np.cumsum(gaps, dtype=np.int32)
    begins = first_note[:-1][np.diff(first_note) > 0]
    # What came before a piece's first note is not its own.
    before = np.repeat(onset[begins] - gaps[begins], np.diff(np.append(begins, len(short))))
    text = NoteText(
        pitch=np.cumsum(np.frombuffer(parts[0], np.uint8), dtype=np.uint8),
        step=(onset - before).astype(np.int32),
        first_note=first_note,
    )
    _demand(text.pitch.max() < _NUM_PITCHES and text.step.min() >= 0)
    return TrainingPassages(
        text=text,
        pieces=pieces,
        ranges=description["ranges"],
        unseen=tuple(description["unseen"]),
        about=description["about"],
    )


def _inflated(data: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, most)
    _demand(inflater.eof)
    return inflated


def _check(description: dict[str, Any]) -> None:
    """Prove that the parts of a description are of the kinds that `check` counts on.

    Raises: one of `_LIES`.
    """
    sizes, notes = description["sizes"], description["notes"]
    _demand(len(sizes) == 3 and all(type(size) is int and size > 0 for size in sizes))
    _demand(all(type(number) is int and number >= 0 for number in notes))
    for piece in description["pieces"]:
        _demand(all(isinstance(piece[name], str) for name in ("title", "composer", "path")))
    for found in description["ranges"].values():
        for numbers in found if isinstance(found[0], list) else [found]:
            _demand(len(numbers) == 3 and all(map(_is_number, numbers)))
    for row in description["unseen"]:
        _demand(row["notes"] > 0)
        _demand(all(_is_number(row[name]) for name in ("notes", "median", "p95", "longest")))
    _demand(isinstance(description["about"], dict))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _demand(holds: object) -> None:
    if not holds:
        raise ValueError("an index that does not describe its own contents")
