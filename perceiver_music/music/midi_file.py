"""A MIDI file as a piano performance, bounded and checked.

All tracks and channels become one piano; drums (channel 10) are left out. Notes are paired within
their track and channel, as note-seq does it. One piano has one sustain pedal: each channel's
controller 64 holds from its last value, and of several channels the lowest pedal counts; but a
channel whose pedal goes down for good is left out where that of another comes up. The tracks of
format 2, which are pieces of their own, follow one another.

`MidiFile` also keeps what is needed to copy a part of the file exactly: ticks, tempi, controls,
signatures and texts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import reporting_storage_errors
from perceiver_music.music.midi_bytes import MetaEvent, MidiEvents, read_events
from perceiver_music.music.midi_chunks import MAX_FILE_BYTES
from perceiver_music.music.note_pairing import pair_notes
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE
from perceiver_music.music.tempo_map import DEFAULT_US_PER_QUARTER, TempoMap

SUSTAIN_PEDAL = 64
"""The controller number of the sustain pedal."""

SEQUENCE_NAME = 0x03
"""The kind of the text that names a piece, or a track of it."""

CONTROL_DTYPE = np.dtype(
    [
        ("tick", "<i8"),
        ("time_us", "<i8"),
        ("track", "<i4"),
        ("channel", "u1"),
        ("number", "u1"),
        ("value", "u1"),
    ]
)
NOTE_TICK_DTYPE = np.dtype(
    [("start_tick", "<i8"), ("end_tick", "<i8"), ("track", "<i4"), ("channel", "u1")]
)

_DRUM_CHANNEL = 9
_TEMPO, _TIME_SIGNATURE, _KEY_SIGNATURE = 0x51, 0x58, 0x59
_TEXT_KINDS = range(0x01, 0x08)


@dataclass(frozen=True, kw_only=True)
class MidiFile:
    """What a MIDI file holds, as far as a piano is concerned.

    Attributes:
        performance: all notes and the sustain pedal.
        note_ticks: `NOTE_TICK_DTYPE`, the note of the same row of `performance.notes` in ticks.
            Tracks are numbered among the first one and those that have notes; where only one has,
            all is of track 0. So are those of controls and texts; what stands in a track without
            notes is of the first.
        controls: `CONTROL_DTYPE`, every control change but the drums', in order of time.
        tempo_map: when each tick sounds.
        time_signatures: `FF 58` events in order of time; `data` is numerator, power of two, ...
        key_signatures: `FF 59` events in order of time.
        texts: text events of all kinds in order of time.
        warnings: what was left out or looked odd, one sentence each.
    """

    performance: Performance
    note_ticks: npt.NDArray[np.void]
    controls: npt.NDArray[np.void]
    tempo_map: TempoMap
    time_signatures: tuple[MetaEvent, ...]
    key_signatures: tuple[MetaEvent, ...]
    texts: tuple[MetaEvent, ...]
    warnings: tuple[str, ...]

    @property
    def title(self) -> bytes:
        """The first name that stands at the beginning; empty when there is none."""
        names = (text.data for text in self.texts if text.kind == SEQUENCE_NAME and not text.tick)
        return next(names, b"")


def read_midi(path: str | os.PathLike[str]) -> MidiFile:
    """Read a MIDI file.

    Raises:
        StorageError: the file cannot be read.
        InvalidInputError: it is no MIDI file, is damaged, or holds more than six hours.
    """
    with reporting_storage_errors(path), Path(path).open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    return parse_midi(data, name=os.fspath(path))


def parse_midi(data: bytes, *, name: str) -> MidiFile:
    """Read the bytes of a MIDI file; `name` is what error messages call it.

    Raises:
        InvalidInputError: it is no MIDI file, is damaged, or holds more than six hours.
    """
    events = read_events(data, name=name)
    warnings = list(events.warnings)
    channel_events, metas = events.channel_events, events.meta_events
    tempo_changes: list[tuple[int, int]] = []
    if events.chunks.midi_format == 2 and len(events.chunks.tracks) > 1:
        warnings.append("format 2: its separate pieces are read one after the other")
        channel_events, metas, tempo_changes = _one_after_the_other(events)
    tempo_changes += _tempo_changes(metas, warnings)
    if events.chunks.fixed_us_per_quarter is not None:
        tempo_changes = [(0, events.chunks.fixed_us_per_quarter)]
    tempo_map = TempoMap.from_changes(events.chunks.ticks_per_quarter, tempo_changes)
    last_tick = tempo_map.last_tick
    if len(channel_events) and int(channel_events["tick"].max()) > last_tick:
        raise InvalidInputError(
            "more than six hours of music",
            path=name,
            hint="Split the file; if it is not that long, it is damaged.",
        )
    metas = tuple(sorted((m for m in metas if m.tick <= last_tick), key=lambda meta: meta.tick))
    performance, note_ticks, controls = _as_piano(channel_events, tempo_map, warnings)
    texts = tuple(meta for meta in metas if meta.kind in _TEXT_KINDS)
    tracks = _tracks_with_notes(note_ticks, is_of_pieces=events.chunks.midi_format == 2)
    for rows in (note_ticks, controls):
        rows["track"] = _numbered(rows["track"], tracks)
    numbers = _numbered(np.array([meta.track for meta in texts], dtype=np.int32), tracks)
    return MidiFile(
        performance=performance,
        note_ticks=note_ticks,
        controls=controls,
        tempo_map=tempo_map,
        time_signatures=_signatures(metas, _TIME_SIGNATURE),
        key_signatures=_signatures(metas, _KEY_SIGNATURE),
        texts=tuple(_moved(text, int(n)) for text, n in zip(texts, numbers, strict=True)),
        warnings=tuple(warnings),
    )


def _signatures(metas: tuple[MetaEvent, ...], kind: int) -> tuple[MetaEvent, ...]:
    """Those of the whole file, in its first track."""
    return tuple(_moved(meta, 0) for meta in metas if meta.kind == kind and len(meta.data) >= 2)


def _moved(meta: MetaEvent, track: int) -> MetaEvent:
    return meta if meta.track == track else replace(meta, track=track)


def _tracks_with_notes(
    note_ticks: npt.NDArray[np.void], *, is_of_pieces: bool
) -> npt.NDArray[np.int32]:
    """The tracks that a copy of the file has, the first one always."""
    with_notes = np.unique(note_ticks["track"])
    if is_of_pieces or len(with_notes) < 2:
        return np.zeros(1, dtype=np.int32)
    return np.union1d(with_notes, [0]).astype(np.int32)


def _numbered(track: npt.NDArray[np.int32], tracks: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """The place of each track among `tracks`; 0 where it is none of them."""
    place = np.minimum(np.searchsorted(tracks, track), len(tracks) - 1)
    return np.where(tracks[place] == track, place, 0)


def _one_after_the_other(
    events: MidiEvents,
) -> tuple[npt.NDArray[np.void], tuple[MetaEvent, ...], list[tuple[int, int]]]:
    """Move each track behind the one before it; each begins with the default tempo."""
    ends = events.track_end_ticks
    begins = np.concatenate(([0], np.cumsum(ends)[:-1]))
    moved = events.channel_events.copy()
    moved["tick"] += begins[moved["track"]]
    metas = tuple(
        MetaEvent(
            track=meta.track,
            tick=meta.tick + int(begins[meta.track]),
            kind=meta.kind,
            data=meta.data,
        )
        for meta in events.meta_events
    )
    return moved, metas, [(int(begin), DEFAULT_US_PER_QUARTER) for begin in begins]


def _tempo_changes(metas: tuple[MetaEvent, ...], warnings: list[str]) -> list[tuple[int, int]]:
    changes = []
    for meta in metas:
        if meta.kind == _TEMPO:
            tempo = int.from_bytes(meta.data[:3], "big") if len(meta.data) >= 3 else 0
            if tempo:
                changes.append((meta.tick, tempo))
            else:
                warnings.append(f"a tempo event without a tempo (tick {meta.tick}) is left out")
    return changes


def _as_piano(
    events: npt.NDArray[np.void], tempo_map: TempoMap, warnings: list[str]
) -> tuple[Performance, npt.NDArray[np.void], npt.NDArray[np.void]]:
    status = np.ascontiguousarray(events["status"])
    kind = status >> 4
    channel = status & 0x0F
    is_drum = channel == _DRUM_CHANNEL
    is_note = (kind == 0x8) | (kind == 0x9)
    if bool((is_drum & (kind == 0x9)).any()):
        warnings.append("drums (channel 10) are left out")
    rows = np.flatnonzero(is_note & ~is_drum)
    tick, pitch, velocity = (events[column][rows] for column in ("tick", "data1", "data2"))
    voice = (
        events["track"][rows].astype(np.int64) << 11 | channel[rows].astype(np.int64) << 7 | pitch
    )
    on, off, unfinished = pair_notes(voice, tick, (kind[rows] == 0x9) & (velocity > 0))
    if unfinished:
        warnings.append(f"{unfinished} notes never end and are left out")
    # In order of (start, pitch); each track is in order of time, so most of the work is done.
    start_us = tempo_map.ticks_to_us(tick[on])
    order = np.argsort(start_us << 7 | pitch[on], kind="stable")
    on, off = on[order], off[order]
    notes = note_array(start_us[order], tempo_map.ticks_to_us(tick[off]), pitch[on], velocity[on])
    note_ticks = np.empty(len(on), dtype=NOTE_TICK_DTYPE)
    note_ticks["start_tick"] = tick[on]
    note_ticks["end_tick"] = tick[off]
    note_ticks["track"] = events["track"][rows[on]]
    note_ticks["channel"] = channel[rows[on]]
    controls = _controls(events, np.flatnonzero((kind == 0xB) & ~is_drum), tempo_map)
    pedal = _one_pedal(_pedal_moves(controls, warnings))
    return Performance(notes=notes, pedal=pedal), note_ticks, controls


def _controls(
    events: npt.NDArray[np.void], rows: npt.NDArray[np.intp], tempo_map: TempoMap
) -> npt.NDArray[np.void]:
    tick = events["tick"][rows]
    order = np.argsort(tick, kind="stable")
    tick, rows = tick[order], rows[order]
    controls = np.empty(len(rows), dtype=CONTROL_DTYPE)
    controls["tick"] = tick
    controls["time_us"] = tempo_map.ticks_to_us(tick)
    controls["track"] = events["track"][rows]
    controls["channel"] = events["status"][rows] & 0x0F
    controls["number"] = events["data1"][rows]
    controls["value"] = events["data2"][rows]
    return controls


def _pedal_moves(controls: npt.NDArray[np.void], warnings: list[str]) -> npt.NDArray[np.void]:
    """Controller 64 of all channels but those that go down for good where another comes up."""
    moves: npt.NDArray[np.void] = controls[controls["number"] == SUSTAIN_PEDAL]
    is_down = moves["value"] >= PEDAL_DOWN_VALUE
    stuck, plays = [], False
    for channel in np.unique(moves["channel"]):
        down = is_down[moves["channel"] == channel]
        plays |= bool((down[:-1] & ~down[1:]).any())
        if down[-1] and not (~down[np.argmax(down) :]).any():
            stuck.append(int(channel))
    if not plays or not stuck:
        return moves
    for channel in stuck:
        warnings.append(f"the pedal of channel {channel + 1} never comes up and is left out")
    return np.asarray(moves[~np.isin(moves["channel"], stuck)])


def _one_pedal(moves: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The pedal of all channels together: at each move, the highest value that any of them has."""
    pedal = np.empty(len(moves), dtype=PEDAL_DTYPE)
    pedal["time_us"] = moves["time_us"]
    value = moves["value"]
    channels = np.unique(moves["channel"])
    if len(channels) > 1:
        row = np.arange(len(moves))
        held = np.zeros((len(channels), len(moves)), dtype=np.uint8)
        for channel, line in zip(channels, held, strict=True):
            latest = np.maximum.accumulate(np.where(moves["channel"] == channel, row, -1))
            line[:] = np.where(latest >= 0, value[latest], 0)
        value = held.max(axis=0)
    pedal["value"] = value
    return pedal
