"""Keeping to the few velocities of a file that no one played.

What was written by a notation program or a sequencer has one velocity throughout, or one for each
of its dynamics. A model that was taught by pianists goes on with all of them. Where a primer has
few, what the model gives to another goes to the nearest of those. Nothing is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grid_keeper import UNLIKELY
from perceiver_music.tokenizer import vocabulary as v

NOTES_FOR_EACH: Final = 12
"""So many notes there must be for each velocity; pianists have another for every third."""
MOST_LEVELS: Final = 8

_STRIKES = slice(v.NOTE_ON, v.NOTE_OFF)


def few_levels(velocities: Sequence[int], vocabulary: v.Vocabulary) -> dict[int, int]:
    """The MIDI velocity for each value of VELOCITY, of which there are few; else none at all.

    Args:
        velocities: of all notes of a primer, from 1.
        vocabulary: whose values those are.
    """
    counts = Counter(velocities)
    if not 0 < len(counts) <= min(MOST_LEVELS, len(velocities) // NOTES_FOR_EACH):
        return {}
    per_value = 128 // vocabulary.num_velocities
    # The most frequent last: of two with the same value, that one is kept.
    ranked = sorted(counts, key=lambda velocity: (counts[velocity], velocity))
    return {1 + (velocity - 1) // per_value: velocity for velocity in ranked}


class LevelKeeper:
    """Makes velocities that the primer has not got become those that it has.

    Args:
        levels: see `few_levels`; an empty one leaves everything as it is.
        vocabulary: whose velocities they are.
    """

    def __init__(self, levels: Mapping[int, int], vocabulary: v.Vocabulary) -> None:
        self._levels = np.array(sorted(levels), dtype=np.int64)
        self._first = vocabulary.first_id["VELOCITY"] - 1
        if len(self._levels):
            numbers = np.arange(1, vocabulary.num_velocities + 1)
            off = np.abs(numbers[:, None] - self._levels)
            self._nearest = self._levels[off.argmin(axis=1)]

    def adjusted(
        self,
        logits: npt.NDArray[np.floating],
        allowed: npt.NDArray[np.bool_],
        in_force: int | None,
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with all velocities but the primer's as good as impossible.

        Args:
            logits: the prediction.
            allowed: which ids may come next.
            in_force: the value of VELOCITY that is, counted from 0; None where none is yet. What
                would become the same again is a note without a change.
        """
        if not len(self._levels):
            return logits
        changed = logits.copy()
        first = self._first + 1
        scores = logits[first : first + len(self._nearest)]
        changed[first : first + len(self._nearest)] = UNLIKELY
        for level in self._levels.tolist():
            together = float(np.logaddexp.reduce(scores[self._nearest == level]))
            if level - 1 != in_force:
                changed[self._first + level] = together
            elif allowed[_STRIKES].any():
                strikes = float(np.logaddexp.reduce(logits[_STRIKES][allowed[_STRIKES]]))
                changed[_STRIKES] += np.logaddexp(strikes, together) - strikes
        return changed
