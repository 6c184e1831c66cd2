"""Performances as MIDI files, and a primer's own part copied exactly before new music.

Everything is first a list of (tick, order, message) rows; mido writes the bytes. A primer's part
is copied in ticks of its own tempo map, made finer so that new music fits in between, and loses
nothing: notes, every controller, tempi, signatures and texts are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from perceiver_music.music.embedded import SETTINGS_MARK
from perceiver_music.music.midi_bytes import MetaEvent
from perceiver_music.music.midi_controls import (
    PEDALS,
    Control,
    control_of,
    is_copied_control,
    set_control,
)
from perceiver_music.music.midi_file import SUSTAIN_PEDAL, MidiFile
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.performance import Performance
from perceiver_music.music.tempo_map import TempoMap

TICKS_PER_QUARTER: Final = 5_000
"""Resolution of a file made from nothing: at its tempo of 120, a tenth of a millisecond a tick,
which keeps the order in which notes of one step are struck (`performance_events.decode`)."""

_TEMPO = 0x51
_MOST_TICKS_PER_QUARTER = 32_767
_WANTED_US_PER_TICK = 100


@dataclass(frozen=True, kw_only=True)
class Seam:
    """What happens to the primer's sound after its window.

    Attributes:
        released_us: pitch -> when its key is released, in microseconds after the window's end.
        plays_pedal: whether the new music moves the sustain pedal on from where it stands.
    """

    released_us: Mapping[int, int] = field(default_factory=dict)
    plays_pedal: bool = False


def performance_to_midi(performance: Performance) -> bytes:
    """A MIDI file of format 0 with the notes and the pedal of a performance of up to six hours."""
    tempo_map = TempoMap.from_changes(TICKS_PER_QUARTER)
    tracks = Tracks()
    add_tempo(tracks, 0, int(tempo_map.us_per_quarter[0]))
    add_performance(tracks, performance, tempo_map, channel=0, from_tick=0, shift_us=0)
    return tracks.file(TICKS_PER_QUARTER)


def continued_midi(
    primer: MidiFile,
    *,
    from_us: int,
    to_us: int,
    continuation: Performance,
    seam: Seam,
    include_primer: bool,
) -> bytes:
    """A window of a file, moved to time 0, and new music from the window's end on.

    Args:
        primer: the file.
        from_us: start of the window; notes that began before it are left out.
        to_us: end of the window. A note that sounds there ends when `seam` says, or when it did
            in the file if that is sooner; the same for a pedal that is down.
        continuation: new music, counted from the window's end.
        seam: releases of what sounds at the window's end.
        include_primer: False leaves the window out; the new music then begins at 0.
    """
    tempo_map, factor = finer_ticks(primer.tempo_map)
    seam_tick = int(tempo_map.us_to_ticks(to_us))
    # The file's later tempi are not those of the new music: the last one before the seam holds.
    tempo_map = tempo_map.until(seam_tick)
    from_tick = int(tempo_map.us_to_ticks(from_us)) if include_primer else seam_tick
    tracks = Tracks()
    _add_tempi(tracks, tempo_map, from_tick)
    for metas in (primer.time_signatures, primer.key_signatures):
        _add_signatures(tracks, metas, factor, from_tick, seam_tick)
    if include_primer:
        _add_primer_texts(tracks, primer.texts, factor, from_tick, seam_tick)
        _add_primer_notes(tracks, primer, tempo_map, factor, from_tick, seam_tick, to_us, seam)
        lift_tick = int(tempo_map.us_to_ticks(_lift_us(primer, to_us, seam)))
        _add_controls(tracks, primer, factor, (from_tick, seam_tick, lift_tick), seam)
    add_performance(
        tracks,
        continuation,
        tempo_map,
        channel=main_channel(primer),
        from_tick=from_tick,
        shift_us=to_us,
        track=main_track(primer) if include_primer else 0,
    )
    return tracks.file(tempo_map.ticks_per_quarter)


def finer_ticks(tempo_map: TempoMap) -> tuple[TempoMap, float]:
    """The same tempi over shorter ticks, and how many of them make one of the old."""
    ticks_per_quarter = tempo_map.ticks_per_quarter
    if ticks_per_quarter > _MOST_TICKS_PER_QUARTER:
        # Only a rewritten SMPTE division is so fine that no header can say it.
        plain = TempoMap.from_changes(TICKS_PER_QUARTER)
        us_per_tick = int(tempo_map.us_per_quarter[0]) / ticks_per_quarter
        return plain, us_per_tick * TICKS_PER_QUARTER / int(plain.us_per_quarter[0])
    slowest = int(tempo_map.us_per_quarter.max())
    wanted = -(-slowest // (ticks_per_quarter * _WANTED_US_PER_TICK))
    factor = max(1, min(wanted, _MOST_TICKS_PER_QUARTER // ticks_per_quarter))
    changes = zip(tempo_map.ticks.tolist(), tempo_map.us_per_quarter.tolist(), strict=True)
    finer = TempoMap.from_changes(
        ticks_per_quarter * factor, [(tick * factor, tempo) for tick, tempo in changes]
    )
    return finer, factor


def main_channel(primer: MidiFile) -> int:
    """The channel of most of the primer's notes, so that its sound goes on."""
    channels = primer.note_ticks["channel"]
    return int(np.bincount(channels).argmax()) if len(channels) else 0


def main_track(primer: MidiFile) -> int:
    """The track of most notes of that channel."""
    notes = primer.note_ticks[primer.note_ticks["channel"] == main_channel(primer)]
    return int(np.bincount(notes["track"]).argmax()) if len(notes) else 0


def add_tempo(tracks: Tracks, tick: int, us_per_quarter: int) -> None:
    """Add a tempo from a tick on."""
    tracks.meta(tick, _TEMPO, us_per_quarter.to_bytes(3, "big"))


def _add_tempi(tracks: Tracks, tempo_map: TempoMap, from_tick: int) -> None:
    """The tempo at the start, and the changes after it."""
    rows = zip(tempo_map.ticks.tolist(), tempo_map.us_per_quarter.tolist(), strict=True)
    at_start = None
    for tick, tempo in rows:
        if tick <= from_tick:
            at_start = tempo
        else:
            add_tempo(tracks, tick - from_tick, tempo)
    if at_start is not None:
        add_tempo(tracks, 0, at_start)


def _add_signatures(
    tracks: Tracks, metas: Sequence[MetaEvent], factor: float, from_tick: int, seam_tick: int
) -> None:
    at_start = None
    for meta in metas:
        tick = round(meta.tick * factor)
        if tick <= from_tick:
            at_start = meta
        elif tick <= seam_tick:
            tracks.meta(tick - from_tick, meta.kind, meta.data)
    if at_start is not None:
        tracks.meta(0, at_start.kind, at_start.data)


def _add_primer_texts(
    tracks: Tracks, texts: Sequence[MetaEvent], factor: float, from_tick: int, seam_tick: int
) -> None:
    """Titles and the like, but not the settings that made the primer: they made only that."""
    for text in texts:
        tick = round(text.tick * factor)
        if not is_settings(text) and (tick == 0 or from_tick <= tick <= seam_tick):
            tracks.meta(max(0, tick - from_tick), text.kind, text.data, track=text.track)


def is_settings(text: MetaEvent) -> bool:
    """Whether a text tells how a file was made by this program."""
    return text.data.startswith(SETTINGS_MARK.encode())


def _add_primer_notes(
    tracks: Tracks,
    primer: MidiFile,
    tempo_map: TempoMap,
    factor: float,
    from_tick: int,
    seam_tick: int,
    to_us: int,
    seam: Seam,
) -> None:
    starts = np.rint(primer.note_ticks["start_tick"] * factor).astype(np.int64)
    ends = np.rint(primer.note_ticks["end_tick"] * factor).astype(np.int64)
    release_tick = {
        pitch: int(tempo_map.us_to_ticks(to_us + us)) for pitch, us in seam.released_us.items()
    }
    for row in np.flatnonzero((starts >= from_tick) & (starts < seam_tick)):
        note = primer.performance.notes[row]
        end = int(ends[row])
        if end > seam_tick:
            own_end = int(tempo_map.us_to_ticks(note["end_us"]))
            end = min(own_end, release_tick.get(int(note["pitch"]), seam_tick))
        tracks.note(
            int(starts[row]) - from_tick,
            end - from_tick,
            track=int(primer.note_ticks["track"][row]),
            channel=int(primer.note_ticks["channel"][row]),
            pitch=int(note["pitch"]),
            velocity=int(note["velocity"]),
        )


def _add_controls(
    tracks: Tracks, primer: MidiFile, factor: float, ticks: tuple[int, int, int], seam: Seam
) -> None:
    """What was set when the window begins, all changes in it, and the pedals up after it.

    Args:
        tracks: get them.
        primer: has them.
        factor: new ticks in one of the primer's.
        ticks: of the window's start, of its end, and of the pedals' lift.
        seam: whether the new music goes on with the pedal.
    """
    from_tick, seam_tick, lift_tick = ticks
    state: dict[Control, int] = {}
    is_begun = False
    for control in primer.controls:
        tick = round(int(control["tick"]) * factor)
        key = control_of(control)
        if not is_copied_control(key.number) or tick > seam_tick:
            continue
        if tick >= from_tick:
            if not is_begun:
                _set_all(tracks, state)
                is_begun = True
            value = int(control["value"])
            set_control(tracks, tick - from_tick, key, value)
        state[key] = int(control["value"])
    if not is_begun:
        _set_all(tracks, state)
    played = None
    if seam.plays_pedal:
        played = Control(main_track(primer), main_channel(primer), SUSTAIN_PEDAL)
    for key, value in state.items():
        if key.number in PEDALS and value and key != played:
            set_control(tracks, lift_tick - from_tick, key, 0)


def _set_all(tracks: Tracks, state: Mapping[Control, int]) -> None:
    for key, value in state.items():
        set_control(tracks, 0, key, value)


def _lift_us(primer: MidiFile, to_us: int, seam: Seam) -> int:
    """When the pedals come up: with the last release of the primer, or when they did in it."""
    last_us = to_us + max(seam.released_us.values(), default=0)
    controls = primer.controls
    is_lift = (
        (controls["number"] == SUSTAIN_PEDAL)
        & (controls["value"] < 64)
        & (controls["time_us"] >= to_us)
    )
    return min(last_us, int(controls["time_us"][is_lift].min(initial=last_us)))


def add_performance(
    tracks: Tracks,
    performance: Performance,
    tempo_map: TempoMap,
    *,
    channel: int,
    from_tick: int,
    shift_us: int,
    track: int = 0,
) -> None:
    """Notes and pedal, `shift_us` later, on ticks that count from `from_tick`."""
    notes = performance.notes
    starts = tempo_map.us_to_ticks(notes["start_us"] + shift_us) - from_tick
    ends = tempo_map.us_to_ticks(notes["end_us"] + shift_us) - from_tick
    for row, note in enumerate(notes):
        tracks.note(
            int(starts[row]),
            int(ends[row]),
            track=track,
            channel=channel,
            pitch=int(note["pitch"]),
            velocity=int(note["velocity"]),
        )
    ticks = tempo_map.us_to_ticks(performance.pedal["time_us"] + shift_us) - from_tick
    for row, move in enumerate(performance.pedal):
        value = int(move["value"])
        key = Control(track, channel, SUSTAIN_PEDAL)
        set_control(tracks, int(ticks[row]), key, value)
