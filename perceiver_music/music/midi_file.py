"""A MIDI file as a piano performance, bounded and checked.

All tracks and channels but drums become one piano (`piano_part`). The tracks of format 2, which are
pieces of their own, follow one another.

`MidiFile` also keeps what is needed to copy a part of the file exactly: ticks, tracks, tempi,
drums, all other channel events, signatures, texts and other meta events.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import reporting_storage_errors
from perceiver_music.music.midi_bytes import MetaEvent, MidiEvents, read_events
from perceiver_music.music.midi_chunks import MAX_FILE_BYTES
from perceiver_music.music.performance import Performance
from perceiver_music.music.piano_part import controls_among, piano_part
from perceiver_music.music.tempo_map import DEFAULT_US_PER_QUARTER, TempoMap

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

_TEMPO, _TIME_SIGNATURE, _KEY_SIGNATURE = 0x51, 0x58, 0x59
_OF_THE_WHOLE = (_TEMPO, _TIME_SIGNATURE, _KEY_SIGNATURE)
_TEXT_KINDS = range(0x01, 0x08)


@dataclass(frozen=True, kw_only=True)
class MidiFile:
    """What a MIDI file holds.

    Tracks are numbered as in the file; those of format 2 are all number 0.

    Attributes:
        performance: the piano's notes and sustain pedal.
        note_ticks: `NOTE_TICK_DTYPE`, the note of the same row of `performance.notes` in ticks.
        drums: `DRUM_DTYPE`, the notes of channel 10.
        channel_events: `CHANNEL_EVENT_DTYPE`, all that is no note, in order of time.
        tempo_map: when each tick sounds.
        is_in_frames: its ticks are parts of frames (SMPTE), so that it has neither quarters nor
            bars; those of its tempo map are made up.
        time_signatures: `FF 58` events in order of time; `data` is numerator, power of two, ...
        key_signatures: `FF 59` events in order of time.
        other_metas: all but tempi and signatures, in order of time.
        track_ends: the tick at which each track ends.
        warnings: what was left out or looked odd, one sentence each.
    """

    performance: Performance
    note_ticks: npt.NDArray[np.void]
    drums: npt.NDArray[np.void]
    channel_events: npt.NDArray[np.void]
    tempo_map: TempoMap
    is_in_frames: bool
    time_signatures: tuple[MetaEvent, ...]
    key_signatures: tuple[MetaEvent, ...]
    other_metas: tuple[MetaEvent, ...]
    track_ends: tuple[int, ...]
    warnings: tuple[str, ...]

    @cached_property
    def controls(self) -> npt.NDArray[np.void]:
        """`CONTROL_DTYPE`, every control change but the drums', in order of time."""
        events = controls_among(self.channel_events)
        controls = np.empty(len(events), dtype=CONTROL_DTYPE)
        for column in ("tick", "time_us", "track"):
            controls[column] = events[column]
        controls["channel"] = events["status"] & 0x0F
        controls["number"], controls["value"] = events["data1"], events["data2"]
        return controls

    def meter_at(self, us: int) -> MetaEvent | None:
        """The time signature that holds at a moment; None before the first."""
        tick = int(self.tempo_map.us_to_ticks(us))
        return next((meta for meta in reversed(self.time_signatures) if meta.tick <= tick), None)

    @property
    def texts(self) -> tuple[MetaEvent, ...]:
        """Text events of all kinds in order of time."""
        return tuple(meta for meta in self.other_metas if meta.kind in _TEXT_KINDS)

    @property
    def title(self) -> bytes:
        """The first name that stands at the beginning; empty when there is none."""
        names = (text.data for text in self.texts if text.kind == SEQUENCE_NAME and not text.tick)
        return next(names, b"")


def lack_of_notes(warnings: Iterable[str]) -> str:
    """What is wrong with a file without notes, and why: what was left out of it."""
    return "; ".join(("has no piano notes", *warnings))


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
    part = piano_part(channel_events, tempo_map, warnings)
    track_ends = [min(int(tick), last_tick) for tick in events.track_end_ticks]
    if events.chunks.midi_format == 2:
        track_ends = [min(sum(track_ends), last_tick)]
        metas = tuple(replace(meta, track=0) for meta in metas)
        for rows in (part.note_ticks, part.drums, part.others):
            rows["track"] = 0
    return MidiFile(
        performance=part.performance,
        note_ticks=part.note_ticks,
        drums=part.drums,
        channel_events=part.others,
        tempo_map=tempo_map,
        is_in_frames=events.chunks.fixed_us_per_quarter is not None,
        time_signatures=_signatures(metas, _TIME_SIGNATURE),
        key_signatures=_signatures(metas, _KEY_SIGNATURE),
        other_metas=tuple(meta for meta in metas if meta.kind not in _OF_THE_WHOLE),
        track_ends=tuple(track_ends),
        warnings=tuple(warnings),
    )


def _signatures(metas: tuple[MetaEvent, ...], kind: int) -> tuple[MetaEvent, ...]:
    return tuple(meta for meta in metas if meta.kind == kind and len(meta.data) >= 2)


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
