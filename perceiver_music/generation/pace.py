"""Keeping the primer's pace: new music that has become far busier or sparser is led back.

A model that hears its own playing drifts, and ours towards more and more notes (docs/lab-book.md
has counts). Within a wide band around the primer's own note rate nothing is touched, and pianists
are mostly within it; beyond, onsets become less likely and times longer, or the other way round,
the further the last seconds are off. Nothing is forbidden, and nothing is drawn.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v

PRIMER_SECONDS: Final = 60
"""The pace is that of the primer's end, of so much of it at most."""
HEARD_SECONDS: Final = 10
FEWEST_SECONDS: Final = 2
FEWEST_ONSETS: Final = 12
"""A shorter primer has no pace to keep."""

SHORTEST_WAIT_STEPS: Final = 3 * v.STEPS_PER_SECOND
LONGER_WAIT: Final = 1.5
"""So many times the primer's longest wait between onsets, and at least `SHORTEST_WAIT_STEPS`, new
music may wait for its next."""

WIDEST: Final = 1.6
"""So many times the primer's rate, up or down, are left alone."""
BURST_SECONDS: Final = 3
"""So many times the notes of the primer's busiest such stretch are left alone, too."""
_STRENGTH = 2.0
_LARGEST_BEND = 3.0
_LENGTH = np.log(np.arange(1, v.MAX_SHIFT_STEPS + 1) / 10)
"""Longer times become likelier where onsets become less so, as in playing slower."""


def bent(logits: npt.NDArray[np.floating], bend: float) -> npt.NDArray[np.floating]:
    """Logits `[vocabulary]` of slower playing, of faster where `bend` is negative."""
    changed = logits.copy()
    changed[v.NOTE_ON : v.NOTE_OFF] -= bend
    changed[v.TIME_SHIFT : v.TIME_SHIFT + v.MAX_SHIFT_STEPS] += bend * _LENGTH
    return changed


class PaceKeeper:
    """Listens to every event; `adjusted` bends a prediction while the pace is far off.

    Args:
        tokens: what the model has been given.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._step = 0
        self._onsets: list[int] = []
        for token in tokens:
            self.take(token)
        first = max(0, self._step - PRIMER_SECONDS * v.STEPS_PER_SECOND)
        seconds = (self._step - first) / v.STEPS_PER_SECOND
        onsets = self._onsets[bisect_left(self._onsets, first) :]
        has_pace = seconds >= FEWEST_SECONDS and len(onsets) >= FEWEST_ONSETS
        self._rate = len(onsets) / seconds if has_pace else None
        self._busiest = _most_within(onsets, BURST_SECONDS * v.STEPS_PER_SECOND)
        self.longest_wait: int | None = None
        """Steps after which new music strikes its next key; None where the primer has no notes."""
        if onsets:
            longest = max((after - before for before, after in pairwise(onsets)), default=0)
            self.longest_wait = max(SHORTEST_WAIT_STEPS, round(LONGER_WAIT * longest))

    def take(self, token: int) -> None:
        """Go on by one event."""
        if v.NOTE_ON <= token < v.NOTE_OFF:
            self._onsets.append(self._step)
        elif v.TIME_SHIFT <= token < v.VELOCITY:
            self._step += token - v.TIME_SHIFT + 1

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with onsets made less or more likely, if the pace is far off."""
        bend = self._bend()
        return bent(logits, bend) if bend else logits

    def _bend(self) -> float:
        if self._rate is None:
            return 0.0
        heard = self._onsets_after(self._step - HEARD_SECONDS * v.STEPS_PER_SECOND)
        # One more of each, so that silence is not infinitely slow.
        off = math.log((heard + 1) / (self._rate * HEARD_SECONDS + 1))
        beyond = max(0.0, abs(off) - math.log(WIDEST))
        bend = math.copysign(min(_LARGEST_BEND, _STRENGTH * beyond), off)
        return max(bend, self._bend_of_burst()) if off > 0 else bend

    def _bend_of_burst(self) -> float:
        heard = self._onsets_after(self._step - BURST_SECONDS * v.STEPS_PER_SECOND)
        beyond = math.log((heard + 1) / (self._busiest + 1)) - math.log(WIDEST)
        return min(_LARGEST_BEND, _STRENGTH * max(0.0, beyond))

    def _onsets_after(self, step: int) -> int:
        return len(self._onsets) - bisect_right(self._onsets, step)


def _most_within(onsets: Sequence[int], steps: int) -> int:
    """The most onsets in any stretch of so many steps."""
    return max((bisect_right(onsets, at + steps) - i for i, at in enumerate(onsets)), default=0)
