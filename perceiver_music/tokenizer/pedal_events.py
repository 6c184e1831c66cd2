"""Performances to event ids and back with the sustain pedal as it was pressed.

A note lasts from key down to key up, a VELOCITY has all 127 values, and every move of the pedal
(controller 64) is a PEDAL with its value. Within a step come releases and pedal moves in the order
in which they happened, since it decides whether the pedal catches a note, and then onsets from low
to high. The format: docs/tokenizer.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import (
    PEDAL_DTYPE,
    NoteArray,
    PedalArray,
    Performance,
    note_array,
)
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import (
    assemble,
    checked_ids,
    ends_in_order_of_starts,
    first_in_first_out,
    steps_before,
    velocities,
)

Ids = npt.NDArray[np.uint16]
Steps = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

PEDAL: Final = v.PEDAL.first_id["PEDAL"]
NUM_PEDAL_VALUES: Final = 128

_HALF_STEP: Final = v.MICROSECONDS_PER_STEP // 2
_ORDER_SPACING_US: Final = 100


def encode(performance: Performance) -> Ids:
    """The ids of a performance; no BOS, no EOS. A pedal message that changes nothing is none."""
    pedal = _changes(performance.pedal)
    notes, start_step = _in_order(performance.notes)
    if not len(notes) and not len(pedal):
        return np.empty(0, dtype=np.uint16)
    num_notes, num_moves = len(notes), len(pedal)
    end_us = ends_in_order_of_starts(notes["end_us"], notes["pitch"])
    end_step = np.maximum(_steps(end_us), start_step + 1)

    # Releases, pedal moves, onsets. A release stands after the moves that it follows in time, and
    # after those at the very same moment: a pedal that goes down with the key up catches the note.
    note, move = np.arange(num_notes), np.arange(num_moves)
    move_step = _steps(pedal["time_us"])
    step = np.concatenate((end_step, move_step, start_step))
    kind = np.repeat((0, 1, 2), (num_notes, num_moves, num_notes))
    place = np.concatenate((note, move, note))
    moves_before = np.searchsorted(pedal["time_us"], end_us, side="right")
    # A note made longer ends in a step of which it follows no move, but all moves before it.
    moves_before = np.maximum(moves_before, np.searchsorted(move_step, end_step))
    num_before = np.concatenate((moves_before, move + 1, np.zeros_like(note)))
    order = np.lexsort((place, kind == 0, num_before, kind == 2, step))

    pitch = notes["pitch"].astype(np.int64)
    value = pedal["value"].astype(np.int64)
    event_ids = np.concatenate((v.NOTE_OFF + pitch, PEDAL + value, v.NOTE_ON + pitch))
    velocity = np.maximum(notes["velocity"], 1).astype(np.int64)
    # Onsets come in the order of notes, so a change of velocity is a change between neighbours.
    told = np.where(np.diff(velocity, prepend=0) != 0, velocity, 0)
    told = np.concatenate((np.zeros(num_notes + num_moves, dtype=np.int64), told))
    step = step[order]
    return assemble(np.diff(step, prepend=0), told[order], event_ids[order])


def _steps(time_us: npt.NDArray[np.int64]) -> Steps:
    """The nearest steps, halves up."""
    return (np.maximum(time_us, 0) + _HALF_STEP) // v.MICROSECONDS_PER_STEP


def _in_order(notes: NoteArray) -> tuple[NoteArray, Steps]:
    """Notes by (step, pitch, time), the order of their onsets, and their start steps."""
    start_step = _steps(notes["start_us"])
    order = np.lexsort((notes["start_us"], notes["pitch"], start_step))
    return notes[order], start_step[order]


def _changes(pedal: PedalArray) -> PedalArray:
    """The moves that change the pedal's value; before the first it is up."""
    is_change = np.diff(pedal["value"].astype(np.int64), prepend=0) != 0
    changes: PedalArray = pedal[is_change]
    return changes


def decode(ids: npt.ArrayLike) -> Performance:
    """The performance that ids describe, on the 10 ms grid, with its pedal.

    Any sequence of ids has a meaning. Specials are passed over; a NOTE_OFF ends the note of its
    pitch that has sounded longest, or nothing; notes still sounding at the end of the ids end
    there; every note lasts at least one step. Releases and pedal moves of one step are set a tenth
    of a millisecond apart, the last of them on the step, so that their order survives in a MIDI
    file too.

    Raises:
        InvalidInputError: something is not an id of the vocabulary.
    """
    checked = checked_ids(ids, v.PEDAL)
    if not len(checked):
        return Performance(note_array([], [], [], []))
    step = steps_before(checked)
    is_shift = (checked[-1] >= v.TIME_SHIFT) & (checked[-1] < v.VELOCITY)
    final_step = int(step[-1]) + (int(checked[-1]) - v.TIME_SHIFT + 1 if is_shift else 0)
    on_position = np.flatnonzero(checked < v.NOTE_OFF)
    off_position = np.flatnonzero((checked >= v.NOTE_OFF) & (checked < v.TIME_SHIFT))
    move_position = np.flatnonzero((checked >= PEDAL) & (checked < PEDAL + NUM_PEDAL_VALUES))
    moment = _moments(step, np.sort(np.concatenate((off_position, move_position))))

    pitch = checked[on_position] - v.NOTE_ON
    end_us = np.full(len(on_position), final_step * v.MICROSECONDS_PER_STEP)
    ended, ending = first_in_first_out(
        pitch, on_position, checked[off_position] - v.NOTE_OFF, off_position
    )
    end_us[ended] = moment[off_position[ending]]
    start_us = step[on_position] * v.MICROSECONDS_PER_STEP
    is_too_short = _steps(end_us) <= step[on_position]
    end_us = np.where(is_too_short, start_us + v.MICROSECONDS_PER_STEP, end_us)
    pedal = np.empty(len(move_position), dtype=PEDAL_DTYPE)
    pedal["time_us"] = moment[move_position]
    pedal["value"] = checked[move_position] - PEDAL
    velocity = velocities(checked, v.PEDAL)[on_position]
    return Performance(note_array(start_us, end_us, pitch, velocity), pedal)


def _moments(step: Steps, position: Indices) -> Steps:
    """Microseconds of each id of a sequence, those at `position` apart within their steps."""
    moment = step * v.MICROSECONDS_PER_STEP
    steps = step[position]
    is_first = np.diff(steps, prepend=-1) != 0
    first = np.flatnonzero(is_first)
    size = np.diff(np.append(first, len(steps)))
    rank = np.arange(len(steps)) - np.repeat(first, size)
    size = np.repeat(size, size)
    spacing = np.where(size * _ORDER_SPACING_US <= _HALF_STEP, _ORDER_SPACING_US, 1)
    # Before the step's mark, so that onsets on it come after; nothing is before time 0.
    offset = np.where(steps > 0, rank + 1 - size, rank) * spacing
    moment[position] += np.clip(offset, -_HALF_STEP, _HALF_STEP - 1)
    return moment


def id_seconds(ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The moment, in seconds from the start, at which each id takes effect.

    Raises:
        InvalidInputError: something is not an id of the vocabulary.
    """
    return steps_before(checked_ids(ids, v.PEDAL)) / v.STEPS_PER_SECOND
