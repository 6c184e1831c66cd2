"""Magenta's NoteSequence files as a source: one message (.pb) or many (.tfrecord).

Needs the protobuf classes of note-seq (the extra `magenta`); the container is read here.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from perceiver_music.errors import InvalidInputError, PerceiverMusicError, UnavailableError
from perceiver_music.files import read_bytes, reporting_storage_errors
from perceiver_music.music.moments import MAX_MUSIC_SECONDS
from perceiver_music.music.performance import (
    MICROSECONDS,
    PEDAL_DTYPE,
    Performance,
    note_array,
)
from perceiver_music.music.piano_part import SUSTAIN_PEDAL

MAX_MESSAGE_BYTES = 256 << 20

_MESSAGE_NAME = re.compile(r"\.pb$", re.IGNORECASE)
_RECORDS_NAME = re.compile(r"\.tfrecord(-\d+-of-\d+)?$", re.IGNORECASE)
_CRC32C_POLYNOMIAL = 0x82F63B78


@dataclass(frozen=True, kw_only=True)
class NoteSequenceRecord:
    """One message of a file.

    Attributes:
        number: its place in a file of many, from 0; None in a file of one.
        title: empty when the message has none.
        sha256: of the message.
        outcome: the performance, or why there is none.
    """

    number: int | None
    title: str
    sha256: str
    outcome: Performance | PerceiverMusicError


def is_note_sequence_file(path: Path) -> bool:
    """Whether the name says so."""
    return bool(_MESSAGE_NAME.search(path.name) or _RECORDS_NAME.search(path.name))


def read_note_sequences(path: Path) -> Iterator[NoteSequenceRecord]:
    """Every message of a file.

    Raises:
        UnavailableError: note-seq is not installed.
        InvalidInputError: the container is broken; messages before the break were given.
        StorageError: the file cannot be read.
    """
    message_type = _note_sequence_type()
    if _MESSAGE_NAME.search(path.name):
        yield _read_message(message_type, read_bytes(path, limit=MAX_MESSAGE_BYTES), None, path)
        return
    with reporting_storage_errors(path), path.open("rb") as stream:
        for number, data in enumerate(_tfrecords(stream, path)):
            yield _read_message(message_type, data, number, path)


def _note_sequence_type() -> Any:
    try:
        with warnings.catch_warnings():
            # note-seq imports audio packages that warn about missing programs; none is used.
            warnings.simplefilter("ignore")
            from note_seq.protobuf import music_pb2
    except ImportError as error:
        raise UnavailableError(
            "reading NoteSequence files needs note-seq",
            hint="Install it with `pip install 'perceiver-music[magenta]'`.",
        ) from error
    return music_pb2.NoteSequence


def _read_message(
    message_type: Any, data: bytes, number: int | None, path: Path
) -> NoteSequenceRecord:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    title = ""
    outcome: Performance | PerceiverMusicError
    try:
        message = message_type.FromString(data)
        title = message.sequence_metadata.title
        outcome = _performance(message)
    except PerceiverMusicError as error:
        outcome = error
    except DecodeError:
        outcome = InvalidInputError("is not a NoteSequence", path=path)
    sha256 = hashlib.sha256(data).hexdigest()
    return NoteSequenceRecord(number=number, title=title, sha256=sha256, outcome=outcome)


def _performance(message: Any) -> Performance:
    """The piano part: drums are left out, all instruments and their pedals are one."""
    notes = [note for note in message.notes if not note.is_drum]
    pedal = [
        change
        for change in message.control_changes
        if change.control_number == SUSTAIN_PEDAL and not change.is_drum
    ]
    for note in notes:
        if not (0 <= note.pitch <= 127 and 1 <= note.velocity <= 127):
            raise InvalidInputError("has a note whose pitch or velocity MIDI has not")
        if note.end_time < note.start_time:
            raise InvalidInputError("has a note that ends before it starts")
    if not all(0 <= change.control_value <= 127 for change in pedal):
        raise InvalidInputError("has a pedal value that MIDI has not")
    moves = np.empty(len(pedal), dtype=PEDAL_DTYPE)
    moves["time_us"] = _microseconds([change.time for change in pedal])
    moves["value"] = [change.control_value for change in pedal]
    return Performance(
        note_array(
            _microseconds([note.start_time for note in notes]),
            _microseconds([note.end_time for note in notes]),
            [note.pitch for note in notes],
            [note.velocity for note in notes],
        ),
        moves,
    )


def _microseconds(seconds: list[float]) -> list[int]:
    if not all(math.isfinite(time) and 0 <= time <= MAX_MUSIC_SECONDS for time in seconds):
        raise InvalidInputError("has a time before zero or after 6 hours")
    return [round(time * MICROSECONDS) for time in seconds]


def _tfrecords(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """TensorFlow's container: length, its checksum, data, its checksum, again and again."""
    number = 0
    while head := stream.read(12):
        size = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
        if len(head) < 12 or _masked_crc32c(head[:8]) != struct.unpack("<I", head[8:])[0]:
            what = "is not an uncompressed TFRecord file" if number == 0 else "breaks off"
            raise InvalidInputError(what, path=path)
        if size > MAX_MESSAGE_BYTES:
            raise InvalidInputError(f"record {number} is too large", path=path)
        data, checksum = stream.read(size), stream.read(4)
        if len(data) < size or len(checksum) < 4:
            raise InvalidInputError(f"breaks off in record {number}", path=path)
        if _masked_crc32c(data) != struct.unpack("<I", checksum)[0]:
            raise InvalidInputError(f"the checksum of record {number} is wrong", path=path)
        yield data
        number += 1


def _masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and shifted as TensorFlow stores it."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _crc32c_table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ (_CRC32C_POLYNOMIAL if value & 1 else 0)
        return value

    return tuple(entry(value) for value in range(256))
