"""A MIDI file with new music in the place of what was played between two moments.

All else is copied in ticks, as `midi_window` copies a primer: every note and drum that begins
outside the gap, every other channel event there, tempi, signatures and texts of the whole file.
Controllers and changes of instrument stay in the gap, too. What the gap's edges cut:

- A note that sounds at the gap's first moment keeps its beginning. When its key is let go in the
  gap, new music says when; when the key is held beyond the gap, it ends where it did.
- A note that begins in the gap is gone, however long it lasted. What is new and sounds up to the
  gap's last moment rings on as the gone ones that sounded there did, or is let go just before.
- A pedal that is down at the first moment comes up with the last of the notes that need it. At the
  gap's last moment it stands where it stood in the file. Its moves in between are gone. So are
  bends and the like: in the gap the channels of the new music have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_controls import (
    add_events,
    at_rest,
    bends,
    is_pedal,
    is_reset,
    moved,
    plays_on,
    standing,
    stays,
)
from perceiver_music.music.midi_copy import add_drums, add_metas, add_notes
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.midi_staves import staves_at
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_writer import (
    add_performance,
    add_tempo,
    finer_ticks,
)
from perceiver_music.music.performance import MICROSECONDS, Performance
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE, apply_sustain
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

    def holds(self, time_us: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which moments of the file lie in the gap."""
        return (time_us >= self.from_us) & (time_us < self.to_us)


def filled_midi(file: MidiFile, gap: FilledGap) -> bytes:
    """The file with the gap filled, in the tracks that it has."""
    tempo_map, factor = finer_ticks(file.tempo_map, max(file.track_ends, default=0))
    tracks = Tracks()
    rows = zip(tempo_map.ticks.tolist(), tempo_map.us_per_quarter.tolist(), strict=True)
    for tick, tempo in rows:
        add_tempo(tracks, tick, tempo)
    for metas in (file.time_signatures, file.key_signatures, file.other_metas):
        add_metas(tracks, metas, factor)
    for track, tick in enumerate(file.track_ends):
        tracks.keep_until(track, tick * factor)
    _add_notes(tracks, file, tempo_map, factor, gap)
    add_drums(tracks, file.drums[~gap.holds(file.drums["start_us"])], factor)
    staves = staves_at(file, gap.from_us, gap.to_us)
    _add_channel_events(tracks, file, tempo_map, factor, gap, staves.channels)
    add_performance(
        tracks,
        _rung_over(gap, file.performance),
        tempo_map,
        staves=staves,
        shift_us=gap.from_us,
    )
    return tracks.file(tempo_map.ticks_per_quarter)


def _rung_over(gap: FilledGap, old: Performance) -> Performance:
    """The middle; what sounds at its end goes on beyond the gap where something did."""
    length = gap.to_us - gap.from_us
    heard = apply_sustain(old).notes
    is_gone = gap.holds(heard["start_us"])
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
    tracks: Tracks, file: MidiFile, tempo_map: TempoMap, factor: int, gap: FilledGap
) -> None:
    notes, ticks = file.performance.notes, file.note_ticks
    rows = np.flatnonzero(~gap.holds(notes["start_us"]))
    notes, ticks = notes[rows], ticks[rows]
    ends = ticks["end_tick"] * factor
    is_let_go = (notes["start_us"] < gap.from_us) & (notes["end_us"] > gap.from_us)
    for row in np.flatnonzero(is_let_go & (notes["end_us"] < gap.to_us)):
        released_us = gap.released_us.get(int(notes["pitch"][row]))
        if released_us is not None:
            ends[row] = tempo_map.us_to_ticks(gap.from_us + released_us)
    off_us = file.tempo_map.ticks_to_us(ticks["off_tick"])
    is_apart = (off_us <= gap.from_us) | (notes["end_us"] >= gap.to_us)
    offs = np.where(is_apart, ticks["off_tick"] * factor, ends)
    starts = ticks["start_tick"] * factor
    add_notes(tracks, file, rows, starts=starts, ends=ends, offs=offs)


def _add_channel_events(
    tracks: Tracks,
    file: MidiFile,
    tempo_map: TempoMap,
    factor: int,
    gap: FilledGap,
    played: Iterable[int],
) -> None:
    """Every event but, in the gap, moves of pedals and what bends the sound of keys.

    Pedals get a lift and a return; the channels of the new music are at rest in the gap.
    """
    events = file.channel_events
    ticks = events["tick"] * factor
    is_before, is_inside = events["time_us"] < gap.from_us, gap.holds(events["time_us"])
    is_after = ~is_before & ~is_inside
    is_bend = bends(events) & plays_on(events, played)
    is_kept = stays(events) & ~is_pedal(events) & ~is_bend | is_reset(events)
    # In this order, because of several at one tick the last one holds.
    is_early = is_before | (is_inside & is_kept)
    add_events(tracks, events[is_early], ticks[is_early])
    left, back = standing(events[is_before]), standing(events[~is_after])
    lift_us = gap.from_us + _lift_us(file, gap)
    for is_one, rest_us in (
        (is_pedal(left), lift_us),
        (bends(left) & plays_on(left, played), gap.from_us),
    ):
        add_events(tracks, at_rest(moved(left[is_one])), int(tempo_map.us_to_ticks(rest_us)))
    back = back[is_pedal(back) | bends(back) & plays_on(back, played)]
    add_events(tracks, moved(back), int(tempo_map.us_to_ticks(gap.to_us)))
    add_events(tracks, events[is_after], ticks[is_after])


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
        & (controls["value"] < PEDAL_DOWN_VALUE)
        & (controls["time_us"] >= gap.from_us)
    )
    if is_lift.any():
        lift = min(lift, int(controls["time_us"][is_lift].min()) - gap.from_us)
    return min(lift, gap.to_us - gap.from_us)
