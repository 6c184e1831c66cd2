"""What a synthesizer is told and when: a performance as one sorted table of plain numbers.

Nothing in the table refers to a file or a library, so that a synthesizer can be run anywhere
with it, in another process too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.moments import MAX_MUSIC_SECONDS
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE
from perceiver_music.music.tempo_map import MAX_MUSIC_US

NOTE_OFF, NOTE_ON, CONTROL_CHANGE = 0x80, 0x90, 0xB0
"""MIDI's status bytes serve as kinds."""

SOUND_EVENT_DTYPE = np.dtype(
    [("time_us", "<i8"), ("kind", "u1"), ("number", "u1"), ("value", "u1")]
)

PEDAL_CONTROLS = (SUSTAIN_PEDAL, 66, 67)
"""Sustain, sostenuto, soft. Other controllers belong to instruments that were merged into one."""

SHORTEST_NOTE_US = 1_000
"""A note of no length still has to be struck before it is let go."""

ORDER_AT_ONE_MOMENT = {CONTROL_CHANGE: 0, NOTE_OFF: 1, NOTE_ON: 2}
"""A pedal pressed as the key rises catches the note; a key struck again is let go first."""


@dataclass(frozen=True, kw_only=True)
class SoundEvents:
    """The events of a piece.

    Attributes:
        events: `SOUND_EVENT_DTYPE`, in the order in which they are to be sent.
        end_us: when the last key rises; what comes after is tail.
    """

    events: npt.NDArray[np.void]
    end_us: int


def sound_events(notes: NoteArray, controls: npt.NDArray[np.void]) -> SoundEvents:
    """Turn notes and control changes into what is sent to a synthesizer.

    Args:
        notes: `NOTE_DTYPE`, not lengthened by the pedal.
        controls: a table with `time_us`, `number` and `value`; all but pedals are left out.

    Raises:
        InvalidInputError: there is no note, or more than six hours of them.
    """
    if len(notes) == 0:
        raise InvalidInputError(
            "there is no note to play", hint="Give a file with piano notes; drums are left out."
        )
    start = notes["start_us"].astype(np.int64)
    end = np.maximum(notes["end_us"].astype(np.int64), start + SHORTEST_NOTE_US)
    end_us = int(end.max())
    if end_us > MAX_MUSIC_US:
        raise InvalidInputError(
            f"the music lasts {end_us / MICROSECONDS / 3600:.1f} hours, "
            f"more than the {MAX_MUSIC_SECONDS // 3600} that are rendered",
            hint="Cut the file into shorter ones.",
        )
    pitch = notes["pitch"]
    last = ~_still_held_by_another(start, end, pitch)
    pedals = _pedal_changes(controls)
    events = np.concatenate(
        [
            _rows(pedals["time_us"], CONTROL_CHANGE, pedals["number"], pedals["value"]),
            _rows(end[last], NOTE_OFF, pitch[last], np.zeros(int(last.sum()), np.uint8)),
            _strikes(start, pitch, notes["velocity"]),
        ]
    )
    rank = np.zeros(256, dtype=np.int8)
    for kind, place in ORDER_AT_ONE_MOMENT.items():
        rank[kind] = place
    # A stable sort keeps the file's order of pedal moves within a moment.
    order = np.lexsort((rank[events["kind"]], events["time_us"]))
    return SoundEvents(events=events[order], end_us=end_us)


def _strikes(
    start: npt.NDArray[np.int64], pitch: npt.NDArray[np.uint8], velocity: npt.NDArray[np.uint8]
) -> npt.NDArray[np.void]:
    """The onsets; those of one key within a millisecond are one, as loud as the loudest.

    A key cannot be struck twice in a moment, and thousands of voices that begin in one moment
    take a synthesizer hours.
    """
    order = np.lexsort((start, -velocity.astype(np.int64), pitch, start // SHORTEST_NOTE_US))
    moment, key = start[order] // SHORTEST_NOTE_US, pitch[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (np.diff(moment) != 0) | (np.diff(key.astype(np.int64)) != 0)
    kept = np.sort(order[is_first])
    return _rows(start[kept], NOTE_ON, pitch[kept], velocity[kept])


def _pedal_changes(controls: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The moves that press or release a pedal.

    Recorded pedals report every millimetre; a synthesizer has switches, and hears each only once.
    """
    kept = []
    for number in PEDAL_CONTROLS:
        moves = controls[controls["number"] == number]
        is_down = moves["value"] >= PEDAL_DOWN_VALUE
        kept.append(moves[np.diff(is_down, prepend=False)])
    return np.concatenate(kept)


def _rows(
    time_us: npt.NDArray[np.int64],
    kind: int,
    number: npt.NDArray[np.uint8],
    value: npt.NDArray[np.uint8],
) -> npt.NDArray[np.void]:
    rows = np.empty(len(time_us), dtype=SOUND_EVENT_DTYPE)
    rows["time_us"], rows["kind"], rows["number"], rows["value"] = time_us, kind, number, value
    return rows


def _still_held_by_another(
    start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], pitch: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Whether each note ends while another of its pitch sounds on.

    Merged tracks may hold one key twice. A synthesizer has one key: it rises with the last.
    """
    held = np.zeros(len(start), dtype=bool)
    for key in np.unique(pitch):
        index = np.flatnonzero(pitch == key)
        starts, ends = np.sort(start[index]), np.sort(end[index])
        ending = end[index]
        struck_before = np.searchsorted(starts, ending, side="left")
        over_by_then = np.searchsorted(ends, ending, side="right")
        held[index] = struck_before > over_by_then
    return held
