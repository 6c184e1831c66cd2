"""How a gap is put to the model: before, after, its length, and then what was in it.

    before  SUFFIX  after  MIDDLE  length  middle  END

`before` ends with TIME_SHIFTs up to the gap's first moment; what sounds there sounds on, and its
release is an event of the middle. `after` is encoded from its own notes alone, counted from the
gap's last moment, so that no NOTE_OFF in it tells of a note that the gap hides. `length` is in
TIME_SHIFTs, the last of them the only one that is not the longest, so that it can be told from
those of the middle; a gap of whole seconds is said to be 10 ms longer. In `middle` everything that
sounds is released at the gap's last moment at latest, and END follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import (
    decode,
    encode_notes,
    lay_out,
    quantize,
    steps_before,
)

Ids = npt.NDArray[np.int64]

SUFFIX: Final = v.token_id("RESERVED", 0)
MIDDLE: Final = v.token_id("RESERVED", 1)
END: Final = v.token_id("RESERVED", 2)

_LONGEST_SHIFT: Final = v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1


@dataclass(frozen=True)
class Gap:
    """A piece taken apart at two steps.

    Attributes:
        before: ids up to the first step, time included.
        middle: ids from there to the second step, everything released there at latest.
        after: ids from the second step on, from the notes that begin there.
        num_steps: length of the gap.
    """

    before: Ids
    middle: Ids
    after: Ids
    num_steps: int

    @property
    def length(self) -> Ids:
        """The gap's length as the prompt says it."""
        return length_ids(self.num_steps)


def length_ids(num_steps: int) -> Ids:
    """TIME_SHIFTs that say how long a gap is; the last one alone is shorter than the longest."""
    whole, rest = divmod(num_steps, v.MAX_SHIFT_STEPS)
    return np.array([_LONGEST_SHIFT] * whole + [v.TIME_SHIFT - 1 + max(1, rest)], dtype=np.int64)


def take_apart(ids: npt.ArrayLike, first_step: int, last_step: int) -> Gap:
    """Take the steps `first_step` to `last_step` out of a piece.

    Args:
        ids: the events of a piece, or of a stretch of it; no specials.
        first_step: from the start of `ids`; 0 or more.
        last_step: after it.

    Raises:
        ValueError: the steps are not in order.
    """
    if not 0 <= first_step < last_step:
        raise ValueError(f"a gap from step {first_step} to {last_step}")
    ids = np.asarray(ids, dtype=np.int64)
    is_event = (ids < v.TIME_SHIFT) | (ids >= v.VELOCITY)
    events, step = ids[is_event], steps_before(ids)[is_event]
    first, last = np.searchsorted(step, (first_step, last_step))
    before = lay_out(events[:first], step[:first], 0, first_step)
    inside = lay_out(events[first:last], step[first:last], first_step, last_step)
    notes = decode(ids).notes
    start_step, end_step = quantize(notes)
    sounding = notes[(start_step < last_step) & (end_step >= last_step)]
    later = notes[start_step >= last_step].copy()
    for column in ("start_us", "end_us"):
        later[column] -= last_step * v.MICROSECONDS_PER_STEP
    # An onset that stands a moment before its step, to keep its place, must not fall below zero.
    later["start_us"] = np.maximum(later["start_us"], 0)
    return Gap(
        before=before.astype(np.int64),
        middle=np.concatenate((inside, v.NOTE_OFF + sounding["pitch"].astype(np.int64))),
        after=encode_notes(later).astype(np.int64),
        num_steps=last_step - first_step,
    )


def prompt_ids(before: Ids, after: Ids, num_steps: int) -> Ids:
    """What the model sees before the first event of the middle."""
    return np.concatenate((before, [SUFFIX], after, [MIDDLE], length_ids(num_steps)))
