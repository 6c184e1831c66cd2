"""NoteSequence files, written by note-seq's own classes."""

from __future__ import annotations

import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from perceiver_music.dataset.note_sequence import (
    _masked_crc32c,
    is_note_sequence_file,
    read_note_sequences,
)
from perceiver_music.errors import InvalidInputError, StorageError, UnavailableError
from perceiver_music.music.performance import Performance


@pytest.fixture(scope="module")
def message_type() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        music_pb2 = pytest.importorskip(
            "note_seq.protobuf.music_pb2", reason="note-seq (the extra magenta) is not installed"
        )
    return music_pb2.NoteSequence


@pytest.fixture
def message(message_type: Any) -> Any:
    message = message_type()
    message.sequence_metadata.title = "A piece"
    message.notes.add(pitch=60, velocity=80, start_time=0.5, end_time=1.25)
    message.notes.add(pitch=36, velocity=80, start_time=0.5, end_time=0.6, is_drum=True)
    message.notes.add(pitch=64, velocity=81, start_time=0.0, end_time=0.75, instrument=3)
    message.control_changes.add(time=0.25, control_number=64, control_value=127)
    message.control_changes.add(time=0.25, control_number=7, control_value=100)
    return message


def record(data: bytes) -> bytes:
    """One record as TensorFlow writes it."""
    size = struct.pack("<Q", len(data))
    return (
        size
        + struct.pack("<I", _masked_crc32c(size))
        + data
        + struct.pack("<I", _masked_crc32c(data))
    )


def test_the_checksum_is_tensorflows() -> None:
    # RFC 3720, B.4: the CRC-32C of 32 zero bytes is 0x8a9136aa.
    crc = 0x8A9136AA
    assert _masked_crc32c(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_message(tmp_path: Path, message: Any) -> None:
    path = tmp_path / "x.pb"
    path.write_bytes(message.SerializeToString())
    [found] = read_note_sequences(path)
    assert (found.number, found.title) == (None, "A piece")
    assert isinstance(found.outcome, Performance)
    assert found.outcome.notes.tolist() == [(0, 750_000, 64, 81), (500_000, 1_250_000, 60, 80)]
    assert found.outcome.pedal.tolist() == [(250_000, 127)]


def test_many_messages(tmp_path: Path, message: Any) -> None:
    path = tmp_path / "x.tfrecord"
    data = message.SerializeToString()
    path.write_bytes(record(data) + record(b"\xff\xff") + record(data))
    found = list(read_note_sequences(path))
    assert [each.number for each in found] == [0, 1, 2]
    assert isinstance(found[1].outcome, InvalidInputError)
    assert found[0].sha256 == found[2].sha256 != found[1].sha256


@pytest.mark.parametrize("place", [0, 9, 20, -1])
def test_a_damaged_record(tmp_path: Path, message: Any, place: int) -> None:
    path = tmp_path / "x.tfrecord"
    good, bad = record(message.SerializeToString()), bytearray(record(b"x" * 20))
    bad[place] ^= 1
    path.write_bytes(good + bad)
    reading = read_note_sequences(path)
    assert isinstance(next(reading).outcome, Performance)
    with pytest.raises(InvalidInputError):
        next(reading)


@pytest.mark.parametrize("length", [1, 11, 13, 30])
def test_a_file_that_breaks_off(tmp_path: Path, message: Any, length: int) -> None:
    path = tmp_path / "x.tfrecord"
    good = record(message.SerializeToString())
    path.write_bytes(good + good[:length])
    reading = read_note_sequences(path)
    next(reading)
    with pytest.raises(InvalidInputError):
        next(reading)


@pytest.mark.parametrize(
    "note",
    [
        {"pitch": 128, "velocity": 80, "end_time": 1.0},
        {"pitch": 60, "velocity": 0, "end_time": 1.0},
        {"pitch": 60, "velocity": 80, "start_time": 2.0, "end_time": 1.0},
        {"pitch": 60, "velocity": 80, "start_time": -1.0, "end_time": 1.0},
        {"pitch": 60, "velocity": 80, "end_time": float("nan")},
        {"pitch": 60, "velocity": 80, "end_time": 1e300},
    ],
)
def test_a_note_that_midi_has_not(tmp_path: Path, message: Any, note: dict[str, Any]) -> None:
    message.notes.add(**note)
    path = tmp_path / "x.pb"
    path.write_bytes(message.SerializeToString())
    [found] = read_note_sequences(path)
    assert isinstance(found.outcome, InvalidInputError)


def test_files_that_are_none(tmp_path: Path, message_type: Any) -> None:
    (tmp_path / "x.pb").write_bytes(b"\xff" * 50)
    [found] = read_note_sequences(tmp_path / "x.pb")
    assert isinstance(found.outcome, InvalidInputError)
    (tmp_path / "x.tfrecord").write_bytes(b"\x1f\x8b" + bytes(50))
    with pytest.raises(InvalidInputError, match="uncompressed"):
        next(read_note_sequences(tmp_path / "x.tfrecord"))
    with pytest.raises(StorageError):
        next(read_note_sequences(tmp_path / "missing.tfrecord"))


def test_without_note_seq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("note_seq", "note_seq.protobuf"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "x.pb").write_bytes(b"")
    with pytest.raises(UnavailableError) as failure:
        next(read_note_sequences(tmp_path / "x.pb"))
    assert failure.value.exit_code == 69
    assert "magenta" in str(failure.value.hint)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.pb", True), ("a.TFRECORD", True), ("a.tfrecord-0-of-3", True), ("a.tfrecords", False)],
)
def test_names(name: str, expected: bool) -> None:
    assert is_note_sequence_file(Path(name)) is expected
