"""A window of a MIDI file, copied exactly, and new music behind it.

It is copied in ticks of its own tempo map, made finer so that new music fits in between, or coarser
where a copy would have more than other programs take. It loses nothing: notes and drums, every
other channel event, tempi, signatures and texts are those of the file, in their tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from perceiver_music.music.coarser_ticks import on_coarser_ticks
from perceiver_music.music.midi_bytes import MetaEvent
from perceiver_music.music.midi_controls import (
    VOLUMES,
    add_events,
    at_rest,
    bends,
    control_of,
    is_pedal,
    moved,
    plays_on,
    standing,
)
from perceiver_music.music.midi_copy import add_drums, add_notes, is_own
from perceiver_music.music.midi_file import SEQUENCE_NAME, MidiFile
from perceiver_music.music.midi_staves import Staves, staves_at
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_writer import add_performance, add_tempo, finer_ticks
from perceiver_music.music.performance import Performance
from perceiver_music.music.piano_part import CONTROL_CHANGE, SUSTAIN_PEDAL
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE
from perceiver_music.music.tempo_map import TempoMap

_OF_A_MOMENT = (0x05, 0x06, 0x07)
"""Lyrics, markers and cue points: at the beginning they tell of the beginning alone."""


@dataclass(frozen=True, kw_only=True)
class Seam:
    """What happens to the primer's sound after its window.

    Attributes:
        released_us: pitch -> when its key is released, in microseconds after the window's end.
        plays_pedal: whether the new music moves the sustain pedal on from where it stands.
    """

    released_us: Mapping[int, int] = field(default_factory=dict)
    plays_pedal: bool = False


@dataclass(frozen=True, kw_only=True)
class _Window:
    """A window in the ticks of a copy.

    Attributes:
        tempo_map: of the copy, up to the window's end; its last tempo goes on.
        factor: new ticks in one of the file's.
        from_tick, to_tick: where the window begins and ends.
        from_us, to_us: the same in microseconds of the file.
    """

    tempo_map: TempoMap
    factor: int
    from_tick: int
    to_tick: int
    from_us: int
    to_us: int


def continued_midi(
    primer: MidiFile,
    *,
    from_us: int,
    to_us: int,
    continuation: Performance,
    seam: Seam,
    include_primer: bool,
    lead_us: int = 0,
) -> bytes:
    """A window of a file, moved to time 0, and new music from the window's end on.

    Args:
        primer: the file.
        from_us: start of the window; notes that began before it are left out.
        to_us: end of the window. A note that sounds there ends when `seam` says, or when it did
            in the file if that is sooner; the same for a pedal that is down.
        continuation: new music, counted from the window's end.
        seam: releases of what sounds at the window's end.
        include_primer: False leaves the window out.
        lead_us: silence before new music that is alone; below 0, what of its own is left out.
    """
    begins_us = from_us if include_primer else to_us - lead_us
    span = begins_us, to_us, continuation.end_us
    primer = on_coarser_ticks(primer, _ticks_of_copy(primer.tempo_map, *span))
    last_tick = _ticks_of_copy(primer.tempo_map, *span)
    tempo_map, factor = finer_ticks(primer.tempo_map, last_tick)
    to_tick = int(tempo_map.us_to_ticks(to_us))
    # The file's later tempi are not those of the new music: the last one before the seam holds.
    tempo_map = tempo_map.until(to_tick)
    window = _Window(
        tempo_map=tempo_map,
        factor=factor,
        from_tick=int(tempo_map.us_to_ticks(begins_us)),
        to_tick=to_tick,
        from_us=begins_us,
        to_us=to_us,
    )
    staves = staves_at(primer, to_us, to_us)
    tracks = Tracks()
    _add_tempi(tracks, window)
    for metas in (primer.time_signatures, primer.key_signatures):
        _add_signatures(tracks, metas, window, in_their_tracks=include_primer)
    if include_primer:
        _add_other_metas(tracks, primer.other_metas, window)
        _add_notes(tracks, primer, window, seam)
        _add_drums(tracks, primer, window)
        _add_channel_events(tracks, primer, window, seam, staves)
    else:
        _add_instruments(tracks, primer, window, staves)
    add_performance(
        tracks,
        continuation,
        tempo_map,
        staves=staves,
        from_tick=window.from_tick,
        shift_us=to_us,
    )
    return tracks.file(tempo_map.ticks_per_quarter)


def seam_us(primer: TempoMap, copy: TempoMap, *, from_us: int, to_us: int) -> int:
    """When a window of a file ends in its copy, to the copy's tick: new music begins there.

    Args:
        primer: tempi and ticks of the file.
        copy: those of what `continued_midi` made of it, the window included.
        from_us: where the window begins, in microseconds of the file.
        to_us: where it ends.
    """
    tempo_map = primer.on_ticks(copy.ticks_per_quarter)
    from_tick, to_tick = tempo_map.us_to_ticks([from_us, to_us]).tolist()
    return int(copy.ticks_to_us(min(to_tick - from_tick, copy.last_tick)))


def _ticks_of_copy(tempo_map: TempoMap, begins_us: int, to_us: int, new_us: int) -> int:
    """How long a window and new music after it are, in ticks of the file."""
    before = tempo_map.until(int(tempo_map.us_to_ticks(to_us)))
    return int(before.us_to_ticks(to_us + new_us) - before.us_to_ticks(begins_us))


def _add_tempi(tracks: Tracks, window: _Window) -> None:
    """The tempo at the start, and the changes after it."""
    tempo_map = window.tempo_map
    rows = zip(tempo_map.ticks.tolist(), tempo_map.us_per_quarter.tolist(), strict=True)
    at_start = None
    for tick, tempo in rows:
        if tick <= window.from_tick:
            at_start = tempo
        else:
            add_tempo(tracks, tick - window.from_tick, tempo)
    if at_start is not None:
        add_tempo(tracks, 0, at_start)


def _add_signatures(
    tracks: Tracks, metas: Sequence[MetaEvent], window: _Window, *, in_their_tracks: bool
) -> None:
    at_start: dict[int, MetaEvent] = {}
    for meta in metas:
        tick = meta.tick * window.factor
        track = meta.track if in_their_tracks else 0
        if tick <= window.from_tick:
            at_start[track] = meta
        elif tick <= window.to_tick:
            tracks.meta(tick - window.from_tick, meta.kind, meta.data, track=track)
    for track, meta in at_start.items():
        tracks.meta(0, meta.kind, meta.data, track=track)


def _add_other_metas(tracks: Tracks, metas: Sequence[MetaEvent], window: _Window) -> None:
    """Titles and the like, but not the settings that made the primer: they made only that."""
    for meta in metas:
        tick = meta.tick * window.factor
        is_of_all = tick == 0 and meta.kind not in _OF_A_MOMENT
        if not is_own(meta) and (is_of_all or window.from_tick <= tick <= window.to_tick):
            at = max(0, tick - window.from_tick)
            tracks.meta(at, meta.kind, meta.data, track=meta.track)


def _add_notes(tracks: Tracks, primer: MidiFile, window: _Window, seam: Seam) -> None:
    start_us = primer.performance.notes["start_us"]
    starts = primer.note_ticks["start_tick"] * window.factor
    # By moments, as the model is shown them: the tick nearest to one may lie outside. But a beat
    # that is a rounded tempo's few microseconds before the window begins it.
    is_begun = (start_us >= window.from_us) | (starts >= window.from_tick)
    rows = np.flatnonzero(is_begun & (start_us < window.to_us))
    notes, ticks = primer.performance.notes[rows], primer.note_ticks[rows]
    starts = np.maximum(starts[rows], window.from_tick)
    ends = ticks["end_tick"] * window.factor
    release_tick = {
        pitch: int(window.tempo_map.us_to_ticks(window.to_us + us))
        for pitch, us in seam.released_us.items()
    }
    for row in np.flatnonzero(ends > window.to_tick):
        own_end = int(window.tempo_map.us_to_ticks(notes["end_us"][row]))
        end = min(own_end, release_tick.get(int(notes["pitch"][row]), window.to_tick))
        ends[row] = max(end, starts[row] + 1)  # a note that ended at once would be none
    own_offs = ticks["off_tick"] * window.factor
    offs = np.where(own_offs <= window.to_tick, own_offs, ends)
    starts, ends, offs = (each - window.from_tick for each in (starts, ends, offs))
    add_notes(tracks, primer, rows, starts=starts, ends=ends, offs=offs)


def _add_drums(tracks: Tracks, primer: MidiFile, window: _Window) -> None:
    starts = primer.drums["start_tick"] * window.factor
    is_inside = (starts >= window.from_tick) & (starts < window.to_tick)
    add_drums(
        tracks,
        primer.drums[is_inside],
        window.factor,
        from_tick=window.from_tick,
        to_tick=window.to_tick,
    )


def _add_instruments(tracks: Tracks, primer: MidiFile, window: _Window, staves: Staves) -> None:
    """What the new music is played on, where it stands alone: its tracks' names and sounds."""
    tracks_played = {place.track for place in staves.places} - {0}
    for meta in primer.other_metas:
        if meta.kind == SEQUENCE_NAME and meta.track in tracks_played:
            tracks.meta(0, meta.kind, meta.data, track=meta.track)
    events = primer.channel_events
    is_before = events["tick"] * window.factor <= window.to_tick
    left = standing(events[is_before & plays_on(events, staves.channels)])
    left = left[~is_pedal(left) & ~bends(left)]
    add_events(tracks, left, 0)
    add_events(tracks, _audible(left, primer, window), 0)


def _add_channel_events(
    tracks: Tracks, primer: MidiFile, window: _Window, seam: Seam, staves: Staves
) -> None:
    """What was set when the window begins, all events in it, and the pedals up after it."""
    events = primer.channel_events
    ticks = events["tick"] * window.factor
    is_before, is_over = ticks < window.from_tick, ticks > window.to_tick
    add_events(tracks, standing(events[is_before]), 0)
    is_inside = ~is_before & ~is_over
    add_events(tracks, events[is_inside], ticks[is_inside] - window.from_tick)
    left = standing(events[~is_over])
    # What was bent, or faded out, stays so in the channels that nothing follows in.
    played = left[plays_on(left, staves.channels)]
    length = window.to_tick - window.from_tick
    add_events(tracks, at_rest(moved(played[bends(played)])), length)
    add_events(tracks, _audible(played, primer, window), length)
    pedals = left[is_pedal(left)]
    if seam.plays_pedal:
        is_it = plays_on(pedals, staves.channels) & (pedals["data1"] == SUSTAIN_PEDAL)
        pedals = pedals[~is_it]
    lift_tick = int(window.tempo_map.us_to_ticks(_lift_us(primer, window.to_us, seam)))
    add_events(tracks, at_rest(moved(pedals)), lift_tick - window.from_tick)


def _audible(left: npt.NDArray[np.void], primer: MidiFile, window: _Window) -> npt.NDArray[np.void]:
    """Volumes that a fade-out left low, as they were when most of the primer was played.

    Args:
        left: what stands at the window's end.
        primer: its volumes over time, and its notes.
        window: its end.
    """
    onsets = primer.performance.notes["start_us"]
    onsets = onsets[onsets < window.to_us]
    is_volume = (left["status"] >> 4 == CONTROL_CHANGE) & np.isin(left["data1"], VOLUMES)
    usual = left[is_volume].copy()
    controls = control_of(primer.channel_events)
    for row, control in zip(usual, control_of(usual), strict=True):
        own = primer.channel_events[controls == control]
        latest = np.searchsorted(own["time_us"], onsets, side="right") - 1
        heard = own["data2"][latest[latest >= 0]]
        row["data2"] = int(np.median(heard)) if len(heard) else row["data2"]
    return np.asarray(usual[left["data2"][is_volume] < usual["data2"] / 2])


def _lift_us(primer: MidiFile, to_us: int, seam: Seam) -> int:
    """When the pedals come up: with the last release of the primer, or when they did in it."""
    last_us = to_us + max(seam.released_us.values(), default=0)
    controls = primer.controls
    is_lift = (
        (controls["number"] == SUSTAIN_PEDAL)
        & (controls["value"] < PEDAL_DOWN_VALUE)
        & (controls["time_us"] >= to_us)
    )
    return min(last_us, int(controls["time_us"][is_lift].min(initial=last_us)))
