"""Performances as MIDI files, and what it takes to write into a copy of another file.

Everything is first a list of (tick, order, message) rows; mido writes the bytes.
"""

from __future__ import annotations

from typing import Final

from perceiver_music.music.midi_staves import ONE_STAFF, Staves
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.performance import Performance
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.music.tempo_map import TempoMap

TICKS_PER_QUARTER: Final = 5_000
"""Resolution of a file made from nothing: at its tempo of 120, a tenth of a millisecond a tick,
which keeps the order in which notes of one step are struck (`performance_events.decode`)."""

_TEMPO = 0x51
_MOST_TICKS_PER_QUARTER = 32_767
_WANTED_US_PER_TICK = 100
MOST_TICKS: Final = 9_999_000
"""Of a file: pretty_midi, and note-seq by it, take one of more than ten million for damaged."""
_STEPS_PER_QUARTER: Final = 50
"""Of 10 ms, at the tempo of a file made from nothing: all its times stay on ticks."""


def performance_to_midi(performance: Performance) -> bytes:
    """A MIDI file of format 0 with the notes and the pedal of a performance of up to six hours."""
    tempo_map = TempoMap.from_changes(_ticks_per_quarter(performance))
    tracks = Tracks()
    add_tempo(tracks, 0, int(tempo_map.us_per_quarter[0]))
    add_performance(tracks, performance, tempo_map)
    return tracks.file(tempo_map.ticks_per_quarter)


def _ticks_per_quarter(performance: Performance) -> int:
    """The usual resolution, or as much of it as a long file has ticks for."""
    quarters = 1 + int(TempoMap.from_changes(1).us_to_ticks(performance.end_us))
    most = MOST_TICKS // quarters // _STEPS_PER_QUARTER * _STEPS_PER_QUARTER
    return max(_STEPS_PER_QUARTER, min(TICKS_PER_QUARTER, most))


def finer_ticks(tempo_map: TempoMap, last_tick: int) -> tuple[TempoMap, int]:
    """The same tempi over shorter ticks, and how many of them make one of the old.

    Args:
        tempo_map: the old tempi and ticks.
        last_tick: the last of the old that will be written.
    """
    ticks_per_quarter = tempo_map.ticks_per_quarter
    slowest = int(tempo_map.us_per_quarter.max())
    wanted = -(-slowest // (ticks_per_quarter * _WANTED_US_PER_TICK))
    most = min(_MOST_TICKS_PER_QUARTER // ticks_per_quarter, MOST_TICKS // max(1, last_tick))
    factor = max(1, min(wanted, most))
    return tempo_map.on_ticks(ticks_per_quarter * factor), factor


def add_tempo(tracks: Tracks, tick: int, us_per_quarter: int) -> None:
    """Add a tempo from a tick on."""
    tracks.meta(tick, _TEMPO, us_per_quarter.to_bytes(3, "big"))


def add_performance(
    tracks: Tracks,
    performance: Performance,
    tempo_map: TempoMap,
    *,
    staves: Staves = ONE_STAFF,
    from_tick: int = 0,
    shift_us: int = 0,
) -> None:
    """Notes and pedal, `shift_us` later, on ticks that count from `from_tick`."""
    notes = performance.notes
    starts = tempo_map.us_to_ticks(notes["start_us"] + shift_us) - from_tick
    ends = tempo_map.us_to_ticks(notes["end_us"] + shift_us) - from_tick
    for row, note in enumerate(notes):
        pitch = int(note["pitch"])
        tracks.note(
            int(starts[row]),
            int(ends[row]),
            pitch=pitch,
            velocity=int(note["velocity"]),
            **staves.place_of(pitch)._asdict(),
        )
    ticks = tempo_map.us_to_ticks(performance.pedal["time_us"] + shift_us) - from_tick
    for row, move in enumerate(performance.pedal):
        value = int(move["value"])
        for channel, place in staves.of_channel.items():
            tracks.control(
                int(ticks[row]),
                number=SUSTAIN_PEDAL,
                value=value,
                channel=channel,
                track=place.track,
            )
