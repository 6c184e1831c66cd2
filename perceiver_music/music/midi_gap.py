"""A MIDI file with new music in the place of what was played between two moments.

All else is copied in ticks, as `midi_writer` copies a primer: every note that begins outside the
gap, every controller, tempi, signatures and texts of the whole file. What the gap's edges cut:

- A note that sounds at the gap's first moment keeps its beginning. When its key is let go in the
  gap, new music says when; when the key is held beyond the gap, it ends where it did.
- A note that begins in the gap is gone, however long it lasted. What is new and sounds up to the
  gap's last moment rings on as the gone ones that sounded there did, or is let go just before.
- A pedal that is down at the first moment comes up with the last of the notes that need it. At the
  gap's last moment it stands where it stood in the file. Its moves in between are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_controls import (
    PEDALS,
    Control,
    control_of,
    is_copied_control,
    set_control,
)
from perceiver_music.music.midi_file import SUSTAIN_PEDAL, MidiFile
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_writer import (
    add_performance,
    add_tempo,
    finer_ticks,
    is_settings,
    main_channel,
    main_track,
)
from perceiver_music.music.performance import MICROSECONDS, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.music.tempo_map import TempoMap

_AT_THE_END_US: Final = 20_000
_BEFORE_THE_END_US: Final = 1_000
_LONGEST_RING_US: Final = 4 * MICROSECONDS


@dataclass(frozen=True, kw_only=True)
class FilledGap:
    """What is new.

    Attributes:
        from_us, to_us: the gap, in microseconds of the file.
        middle: new music, counted from the gap's first moment, which ends with the gap.
        released_us: pitch -> when a note that sounds at the first moment is let go, counted from
            there.
    """

    from_us: int
    to_us: int
    middle: Performance
    released_us: Mapping[int, int] = field(default_factory=dict)


def filled_midi(file: MidiFile, gap: FilledGap) -> bytes:
    """The file with the gap filled, as a MIDI file with the tracks that have notes."""
    tempo_map, factor = finer_ticks(file.tempo_map)
    tracks = Tracks()
    rows = zip(tempo_map.ticks.tolist(), tempo_map.us_per_quarter.tolist(), strict=True)
    for tick, tempo in rows:
        add_tempo(tracks, tick, tempo)
    for metas in (file.time_signatures, file.key_signatures, file.texts):
        for meta in metas:
            if not is_settings(meta):
                tracks.meta(round(meta.tick * factor), meta.kind, meta.data, track=meta.track)
    _add_notes(tracks, file, tempo_map, factor, gap)
    _add_controls(tracks, file, tempo_map, factor, gap)
    add_performance(
        tracks,
        _rung_over(gap, file.performance),
        tempo_map,
        channel=main_channel(file),
        from_tick=0,
        shift_us=gap.from_us,
        track=main_track(file),
    )
    return tracks.file(tempo_map.ticks_per_quarter)


def _rung_over(gap: FilledGap, old: Performance) -> Performance:
    """The middle; what sounds at its end goes on beyond the gap where something did."""
    length = gap.to_us - gap.from_us
    heard = apply_sustain(old).notes
    is_gone = (heard["start_us"] >= gap.from_us) & (heard["start_us"] < gap.to_us)
    ends = heard["end_us"][is_gone & (heard["end_us"] > gap.to_us)] - gap.from_us
    ring = min(int(np.median(ends)), length + _LONGEST_RING_US) if len(ends) else 0
    notes = gap.middle.notes.copy()
    for note in notes[notes["end_us"] >= length - _AT_THE_END_US]:
        struck = old.notes["start_us"][old.notes["pitch"] == note["pitch"]] - gap.from_us
        end = int(struck[struck >= length].min(initial=ring))
        if end <= length:
            # Not at the very end: a pedal that is down from there on would hold it.
            end = max(length - _BEFORE_THE_END_US, int(note["start_us"]))
        is_it = (notes["pitch"] == note["pitch"]) & (notes["start_us"] == note["start_us"])
        notes["end_us"][is_it] = end
    return Performance(notes=notes)


def _add_notes(
    tracks: Tracks, file: MidiFile, tempo_map: TempoMap, factor: float, gap: FilledGap
) -> None:
    starts = np.rint(file.note_ticks["start_tick"] * factor).astype(np.int64)
    ends = np.rint(file.note_ticks["end_tick"] * factor).astype(np.int64)
    for row, note in enumerate(file.performance.notes):
        start_us, end_us = int(note["start_us"]), int(note["end_us"])
        if gap.from_us <= start_us < gap.to_us:
            continue
        end = int(ends[row])
        released_us = gap.released_us.get(int(note["pitch"]))
        is_let_go = start_us < gap.from_us < end_us < gap.to_us
        if is_let_go and released_us is not None:
            end = int(tempo_map.us_to_ticks(gap.from_us + released_us))
        tracks.note(
            int(starts[row]),
            end,
            track=int(file.note_ticks["track"][row]),
            channel=int(file.note_ticks["channel"][row]),
            pitch=int(note["pitch"]),
            velocity=int(note["velocity"]),
        )


def _add_controls(
    tracks: Tracks, file: MidiFile, tempo_map: TempoMap, factor: float, gap: FilledGap
) -> None:
    """Every controller but the pedals' moves in the gap, which become a lift and a return."""
    controls = file.controls[[is_copied_control(int(n)) for n in file.controls["number"]]]
    is_before = controls["time_us"] < gap.from_us
    is_after = controls["time_us"] >= gap.to_us
    is_pedal = np.isin(controls["number"], PEDALS)
    at_first = _values(controls[is_pedal & is_before])
    at_last = _values(controls[is_pedal & ~is_after])
    # In this order, because of several at one tick the last one holds.
    _copy_controls(tracks, controls[is_before | ~(is_after | is_pedal)], factor)
    lift_tick = int(tempo_map.us_to_ticks(gap.from_us + _lift_us(file, gap)))
    return_tick = int(tempo_map.us_to_ticks(gap.to_us))
    for key, value in at_last.items():
        if at_first.get(key, 0):
            set_control(tracks, lift_tick, key, 0)
        if value:
            set_control(tracks, return_tick, key, value)
    _copy_controls(tracks, controls[is_after], factor)


def _values(controls: npt.NDArray[np.void]) -> dict[Control, int]:
    """What each controller was set to last."""
    return {control_of(control): int(control["value"]) for control in controls}


def _copy_controls(tracks: Tracks, controls: npt.NDArray[np.void], factor: float) -> None:
    for control in controls:
        tick = round(int(control["tick"]) * factor)
        set_control(tracks, tick, control_of(control), int(control["value"]))


def _lift_us(file: MidiFile, gap: FilledGap) -> int:
    """How long after the gap's first moment pedals are needed, for keys that are up already."""
    notes = file.performance.notes
    is_held = (notes["start_us"] < gap.from_us) & (notes["end_us"] > gap.from_us)
    held = {int(pitch) for pitch in notes["pitch"][is_held]}
    needed = [us for pitch, us in gap.released_us.items() if pitch not in held]
    lift = max(needed, default=0)
    controls = file.controls
    is_lift = (
        (controls["number"] == SUSTAIN_PEDAL)
        & (controls["value"] < 64)
        & (controls["time_us"] >= gap.from_us)
    )
    if is_lift.any():
        lift = min(lift, int(controls["time_us"][is_lift].min()) - gap.from_us)
    return min(lift, gap.to_us - gap.from_us)
