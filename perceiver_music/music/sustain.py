"""The sustain pedal turned into longer notes, so that music needs no pedal to be understood.

The rules are those of note-seq's `apply_sustain_control_changes` (magenta/note-seq,
`sequences_lib.py`), to which the tests compare them: controller 64 at 64 or above is down; a note
released while the pedal is down sounds on until the pedal comes up, or until its own pitch is
struck again under a pedal that is down, whichever is first. At one moment pedal downs come first,
then pedal ups, note onsets, note ends.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import PedalArray, Performance

PEDAL_DOWN_VALUE: Final = 64
"""The lowest value of a pedal that means down (MIDI 1.0: controllers 64 to 69 are switches)."""

_NEVER: Final = np.iinfo(np.int64).max

Microseconds = npt.NDArray[np.int64]


def apply_sustain(performance: Performance) -> Performance:
    """Lengthen the notes that the pedal holds, and drop the pedal.

    A note still held when the music is over ends with the last event, pedal moves included. Of
    two notes of one pitch that start together under the pedal, the first is left out: it would
    have no length.

    Returns:
        The same notes with the ends that are heard, without pedal.
    """
    notes, pedal = performance.notes, performance.pedal
    if not len(notes) or not len(pedal):
        return Performance(notes=notes)
    start = np.ascontiguousarray(notes["start_us"])
    end = np.ascontiguousarray(notes["end_us"])
    end_of_all = max(performance.end_us, int(pedal["time_us"][-1]))
    move_us, is_down, release_us = _pedal_moves(pedal)

    move_at_end = np.searchsorted(move_us, end, side="right") - 1
    is_held = (move_at_end >= 0) & is_down[move_at_end]
    heard_end = np.where(is_held, release_us[move_at_end], end)

    move_at_start = np.searchsorted(move_us, start, side="right") - 1
    is_struck_under_pedal = (move_at_start >= 0) & is_down[move_at_start]
    restrike = _next_strike_under_pedal(notes["pitch"], start, is_struck_under_pedal)
    heard_end = np.where(restrike < heard_end, restrike, heard_end)

    heard = notes.copy()
    heard["end_us"] = np.where(heard_end == _NEVER, end_of_all, heard_end)
    # Only a re-strike at the very same moment takes a note away; a note that had no length
    # in the first place stays as it came.
    return Performance(notes=heard[restrike != start])


def _pedal_moves(
    pedal: PedalArray,
) -> tuple[Microseconds, npt.NDArray[np.bool_], Microseconds]:
    """The pedal at its distinct moments.

    Returns:
        the moments; whether the pedal is down after each; the first moment from then on, itself
        included, at which it comes up (`_NEVER` if it does not).
    """
    move_us, first = np.unique(pedal["time_us"], return_index=True)
    comes_up = np.logical_or.reduceat(pedal["value"] < PEDAL_DOWN_VALUE, first)
    up_us = np.where(comes_up, move_us, _NEVER)
    release_us = np.minimum.accumulate(up_us[::-1])[::-1]
    return move_us, ~comes_up, release_us


def _next_strike_under_pedal(
    pitch: npt.NDArray[np.uint8], start: Microseconds, is_struck_under_pedal: npt.NDArray[np.bool_]
) -> Microseconds:
    """For each note, the onset of the next one of its pitch that finds the pedal down."""
    by_pitch = np.argsort(pitch, kind="stable")
    num_notes = len(by_pitch)
    position = np.arange(num_notes)
    # The nearest strike at or after each position, then shifted by one to look past itself.
    strike = np.where(is_struck_under_pedal[by_pitch], position, num_notes)
    nearest = np.minimum.accumulate(strike[::-1])[::-1]
    following = np.append(nearest[1:], num_notes)
    pitch_at = np.append(pitch[by_pitch].astype(np.int16), -1)
    start_at = np.append(start[by_pitch], _NEVER)
    is_same_pitch = pitch_at[following] == pitch_at[:-1]
    restrike = np.empty(num_notes, dtype=np.int64)
    restrike[by_pitch] = np.where(is_same_pitch, start_at[following], _NEVER)
    return restrike
