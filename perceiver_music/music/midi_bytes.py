"""The bytes of a Standard MIDI File to one table of channel events and a list of meta events.

Time and memory are linear in the bytes: no length in the file is believed before it is compared
with the bytes that are left. Nearly all events of real music have two data bytes (notes, controls,
bends), so for every byte of the file numpy computes how long such an event starting there would
be; following an event list is then one look-up and one mark an event. All else (meta events,
system exclusive, program changes, damage) takes a careful step in Python.

Running status is kept across meta and system events: many files rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_chunks import MidiChunks, split_chunks

EVENT_DTYPE = np.dtype(
    [("tick", "<i8"), ("track", "<i4"), ("status", "u1"), ("data1", "u1"), ("data2", "u1")]
)

_WINDOW = 1 << 20
"""Bytes whose event lengths are computed at once."""

_LONGEST_FAST_EVENT = 7
"""Four bytes of delta time, a status and two data bytes."""

MAX_META_EVENTS = 200_000
"""Of one file; each is a Python object, a hundred times its bytes."""

SYSTEM_EXCLUSIVE = 0xF0
"""Kind of a message to one maker's instruments; its content is without the first and last byte."""

_META, _END_OF_TRACK, _END_OF_EXCLUSIVE = 0xFF, 0x2F, 0xF7
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_SYSTEM_DATA_BYTES |= dict.fromkeys((0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE), 0)
"""Live messages that have no place in a file but do no harm: skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetaEvent:
    """A meta event: its track, moment, kind byte and content; or a system-exclusive message."""

    track: int
    tick: int
    kind: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class MidiEvents:
    """All events of a file.

    Attributes:
        chunks: the header, and where the tracks lie.
        channel_events: `EVENT_DTYPE`, track after track, each in its order in the file.
        meta_events: all but the ends of tracks, track after track; system-exclusive ones, too.
        track_end_ticks: the moment of the last event of each track.
        warnings: what had to be left out, one sentence each.
    """

    chunks: MidiChunks
    channel_events: npt.NDArray[np.void]
    meta_events: tuple[MetaEvent, ...]
    track_end_ticks: npt.NDArray[np.int64]
    warnings: tuple[str, ...]


class _OutOfBytesError(Exception):
    """The track ends in the middle of an event."""


def read_events(data: bytes, *, name: str) -> MidiEvents:
    """Read every event of a MIDI file.

    Raises:
        InvalidInputError: the bytes are no MIDI file, or an event in it is malformed.
    """
    chunks = split_chunks(data, name=name)
    walk = _TrackWalk(data, chunks, name)
    for track in range(len(chunks.tracks)):
        walk.follow(track)
    return walk.collect()


class _TrackWalk:
    """Finds where each event starts, then cuts all events out at once."""

    def __init__(self, data: bytes, chunks: MidiChunks, name: str) -> None:
        self._data = data
        self._padded = np.frombuffer(data + bytes(2 * _LONGEST_FAST_EVENT), dtype=np.uint8)
        self._chunks = chunks
        self._name = name
        self._ends = np.array([end for _, end in chunks.tracks], dtype=np.int64)
        self._is_start = bytearray(len(data))
        self._metas: list[tuple[int, int, int, int, int]] = []
        self._warnings = list(chunks.warnings)
        self._open_window(0)

    def _open_window(self, base: int) -> None:
        """Compute, for each position from `base` on, the length of a two-data-byte event there.

        `_lengths` begins at `base`; 0 means that there is no such event.
        """
        self._base = base
        size = min(_WINDOW, len(self._data) - base)
        span = self._padded[base : base + size + _LONGEST_FAST_EVENT]
        high = span >= 0x80
        two_data = ~(high[:-1] | high[1:])
        top = span[:-2]
        has_status = high[:-2] & ((top < 0xC0) | ((top & 0xF0) == 0xE0)) & two_data[1:]
        body = two_data[:-1] * np.uint8(2) | has_status * np.uint8(3)
        # Each further byte of delta time, before the last one, makes the event one byte longer.
        last_delta_byte = (~high[:-3] & (body[1:] > 0)) * (body[1:] + np.uint8(1))
        lengths = last_delta_byte
        for _ in range(3):
            last = len(lengths) - 1
            longer = high[:last] * (lengths[1:] + (lengths[1:] > 0))
            lengths = last_delta_byte[:last] | longer
        lengths = lengths[:size]
        # No event may pass the end of its track, and none starts there.
        near = self._ends[(self._ends >= base) & (self._ends < base + size + _LONGEST_FAST_EVENT)]
        back = near[:, None] - base - np.arange(_LONGEST_FAST_EVENT + 1)
        limit = np.broadcast_to(near[:, None] - base, back.shape)
        inside = (back >= 0) & (back < size)
        back, limit = back[inside], limit[inside]
        lengths[back[back + lengths[back] > limit]] = 0
        self._lengths = lengths.tobytes() + bytes(_LONGEST_FAST_EVENT + 1)
        self._window_end = base + size

    def follow(self, track: int) -> None:
        """Find the events of a track, up to its end or to where it breaks off."""
        position, end = self._chunks.tracks[track]
        running_data_bytes = 0
        try:
            while position < end:
                if position >= self._window_end:
                    self._open_window(position)
                if running_data_bytes == 2:
                    position = self._chase(position)
                    if position >= end or position >= self._window_end:
                        continue
                position, running_data_bytes = self._step(track, position, end, running_data_bytes)
        except _OutOfBytesError:
            self._warnings.append(f"track {track + 1} breaks off; read up to the break")

    def _chase(self, position: int) -> int:
        """Follow two-data-byte events from a position; return where something else comes."""
        lengths, is_start, base = self._lengths, self._is_start, self._base
        length = lengths[position - base]
        while length:
            is_start[position] = 1
            position += length
            length = lengths[position - base]
        return position

    def _step(self, track: int, start: int, end: int, running: int) -> tuple[int, int]:
        """Read the event at `start`, whatever it is; return the position after it (the track's end
        after an end-of-track event) and how many data bytes the running status has (0: none).
        """
        position = self._variable_length(start, end)[1]
        if position >= end:
            raise _OutOfBytesError
        status = self._data[position]
        if status < 0x80:
            if not running:
                raise self._malformed("a data byte where an event should begin", position)
            position = self._skip_data(position, end, running)
        elif status < 0xF0:
            running = 1 if 0xC0 <= status < 0xE0 else 2
            position = self._skip_data(position + 1, end, running)
        elif status == _META:
            return self._meta(track, start, position + 1, end), running
        elif status in (SYSTEM_EXCLUSIVE, _END_OF_EXCLUSIVE):
            length, position = self._variable_length(position + 1, end)
            if length > end - position:
                raise _OutOfBytesError
            if status == SYSTEM_EXCLUSIVE:
                self._exclusive(track, start, position, position + length)
            position += length
        elif status in _SYSTEM_DATA_BYTES:
            position = self._skip_data(position + 1, end, _SYSTEM_DATA_BYTES[status])
        else:
            raise self._malformed(f"undefined status byte 0x{status:02X}", position)
        self._is_start[start] = 1
        return position, running

    def _meta(self, track: int, start: int, position: int, end: int) -> int:
        if position >= end:
            raise _OutOfBytesError
        kind = self._data[position]
        length, position = self._variable_length(position + 1, end)
        if length > end - position:
            raise _OutOfBytesError
        self._is_start[start] = 1
        if kind == _END_OF_TRACK:
            return end
        if kind < 0x80:
            self._keep_meta(track, start, kind, position, position + length)
        return position + length

    def _exclusive(self, track: int, start: int, position: int, end: int) -> None:
        """Keep a whole system-exclusive message; one in pieces is left out."""
        content, last = self._data[position : end - 1], self._data[end - 1]
        if position < end and last == _END_OF_EXCLUSIVE and content.isascii():
            self._keep_meta(track, start, SYSTEM_EXCLUSIVE, position, end - 1)

    def _keep_meta(self, track: int, start: int, kind: int, position: int, end: int) -> None:
        if len(self._metas) == MAX_META_EVENTS:
            raise self._malformed(f"over {MAX_META_EVENTS:,} texts, tempi and the like", position)
        self._metas.append((track, start, kind, position, end))

    def _variable_length(self, position: int, end: int) -> tuple[int, int]:
        """The number at a position and the position after it; at most four bytes."""
        value = 0
        for index in range(position, min(position + 4, end)):
            byte = self._data[index]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, index + 1
        if position + 4 > end:
            raise _OutOfBytesError
        raise self._malformed("a variable-length number of more than four bytes", position)

    def _skip_data(self, position: int, end: int, count: int) -> int:
        for index in range(position, position + count):
            if index >= end:
                raise _OutOfBytesError
            if self._data[index] >= 0x80:
                raise self._malformed("a status byte inside an event", index)
        return position + count

    def _malformed(self, what: str, position: int) -> InvalidInputError:
        return InvalidInputError(
            f"damaged MIDI: {what} (byte {position})",
            path=self._name,
            hint="Export the file again, or repair it in a MIDI editor.",
        )

    def collect(self) -> MidiEvents:
        """Cut the events out of the bytes, all at once."""
        starts = np.flatnonzero(np.frombuffer(self._is_start, dtype=np.bool_))
        events_before = np.append(0, np.searchsorted(starts, self._ends))
        counts = np.diff(events_before)
        track = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        delta, status_at = _delta_times(self._padded, starts)
        tick = _running_sum(delta, events_before)
        first = self._padded[status_at]
        names_channel = (first >= 0x80) & (first < 0xF0)
        latest = np.maximum.accumulate(np.where(names_channel, np.arange(len(first)), 0))
        of_channel = np.flatnonzero(first < 0xF0)
        data_at = (status_at + names_channel)[of_channel]
        events = np.empty(len(of_channel), dtype=EVENT_DTYPE)
        events["tick"] = tick[of_channel]
        events["track"] = track[of_channel]
        events["status"] = first[latest[of_channel]]
        events["data1"] = self._padded[data_at]
        events["data2"] = self._padded[data_at + 1]
        last_row = events_before[1:] - 1
        meta_rows = np.searchsorted(starts, [start for _, start, _, _, _ in self._metas])
        ends = np.where(counts > 0, tick[np.maximum(last_row, 0)] if len(tick) else 0, 0)
        return MidiEvents(
            chunks=self._chunks,
            channel_events=events,
            meta_events=tuple(
                MetaEvent(track=in_track, tick=int(tick[row]), kind=kind, data=self._data[at:end])
                for (in_track, _, kind, at, end), row in zip(self._metas, meta_rows, strict=True)
            ),
            track_end_ticks=ends.astype(np.int64),
            warnings=tuple(self._warnings),
        )


def _delta_times(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Delta time of the event at each start, and where the byte after it lies."""
    byte = data[starts]
    delta = (byte & 0x7F).astype(np.int64)
    after = starts + 1
    more = np.flatnonzero(byte >= 0x80)
    while len(more):
        byte = data[after[more]]
        delta[more] = delta[more] << 7 | (byte & 0x7F)
        after[more] += 1
        more = more[byte >= 0x80]
    return delta, after


def _running_sum(
    delta: npt.NDArray[np.int64], events_before: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sum of the delta times from the start of each track."""
    total = np.cumsum(delta)
    before_track = np.concatenate(([0], total))[events_before[:-1]]
    return np.asarray(total - np.repeat(before_track, np.diff(events_before)))
