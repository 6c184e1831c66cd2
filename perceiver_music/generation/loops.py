"""A guard against music that has got stuck: the same few keys, over and over, without end.

Repetition is music; a trill, a drum bass or an ostinato must not be touched. So the guard acts
only beyond everything in MAESTRO v3: in none of its 1,276 performances do so few different keys
fill so long a stretch, nor does a figure of up to 32 notes run on for so many (the limits below
are one key less than the least, a fifth more notes than the most that were found;
`benchmarks/loops` counts them again). Then the keys of the loop become less and less likely, until
the music has moved on to others. Nothing is forbidden, and nothing is drawn: the same events
always meet the same guard.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v

POOR_ONSETS: Final = ((96, 2), (128, 4), (192, 5), (256, 6))
"""(onsets, keys): so many onsets on no more than so many keys are a loop."""
POOR_SECONDS: Final = ((15, 16, 1), (30, 16, 2))
"""(seconds, onsets, keys): for slow ones; at least so many onsets in so much time."""
_FEWEST_ONSETS: Final = min(onsets for *_, onsets, _ in (*POOR_ONSETS, *POOR_SECONDS))
_MOST_KEYS: Final = max(keys for *_, keys in (*POOR_ONSETS, *POOR_SECONDS))
LONGEST_PERIOD: Final = 32
LONGEST_RUN: Final = 96
"""Onsets in a row, each the same as the one a period before it."""

RECENT_ONSETS: Final = 24
FRESH_ONSETS: Final = 8
"""Of the recent onsets, so many on keys that the loop had not are music that has moved on."""
_PENALTY_PER_ONSET = 0.25
_LARGEST_PENALTY = 8.0


class LoopGuard:
    """Listens to every event; `adjusted` bends a prediction while the music is stuck."""

    def __init__(self) -> None:
        self._step = 0
        self._pitches: list[int] = []
        self._steps: list[int] = []
        self._last = np.full(128, -(1 << 30), dtype=np.int64)
        self._runs: dict[int, int] = {}
        """Period -> how many onsets in a row were the same as the one a period before."""
        self._loop: frozenset[int] = frozenset()
        self._num_onsets_stuck = 0

    @property
    def is_acting(self) -> bool:
        """Whether the music is stuck now."""
        return bool(self._loop)

    def take(self, token: int) -> None:
        """Go on by one event."""
        kind, value = v.describe(token)
        if kind == "TIME_SHIFT":
            self._step += value
        if kind != "NOTE_ON":
            return
        before = self._pitches[: -LONGEST_PERIOD - 1 : -1]
        self._runs = {
            period: self._runs.get(period, 0) + 1
            for period, pitch in enumerate(before, start=1)
            if pitch == value
        }
        self._last[value] = len(self._pitches)
        self._pitches.append(value)
        self._steps.append(self._step)
        if self.is_acting:
            self._num_onsets_stuck += 1
            recent = self._pitches[-RECENT_ONSETS:]
            if sum(pitch not in self._loop for pitch in recent) >= FRESH_ONSETS:
                self._loop = frozenset()
        elif self._is_stuck():
            self._num_onsets_stuck = 1
            self._loop = frozenset(self._pitches[-LONGEST_PERIOD:])

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with the keys of a loop made less likely, if there is one."""
        if not self.is_acting:
            return logits
        penalty = min(_LARGEST_PENALTY, _PENALTY_PER_ONSET * self._num_onsets_stuck)
        bent = logits.copy()
        bent[[v.NOTE_ON + pitch for pitch in sorted(self._loop)]] -= penalty
        return bent

    def _is_stuck(self) -> bool:
        if max(self._runs.values(), default=0) >= LONGEST_RUN:
            return True
        if len(set(self._pitches[-_FEWEST_ONSETS:])) > _MOST_KEYS:
            return False  # as nearly always; more onsets have no fewer keys
        count = len(self._pitches)
        if any(count >= n and self._num_keys(n) <= keys for n, keys in POOR_ONSETS):
            return True
        return any(self._is_slow_loop(*rule) for rule in POOR_SECONDS)

    def _is_slow_loop(self, seconds: int, least_onsets: int, keys: int) -> bool:
        first_step = self._step - seconds * v.STEPS_PER_SECOND
        if first_step < 0 or len(self._steps) < least_onsets:
            return False
        if self._steps[-least_onsets] <= first_step:
            return False
        num_inside = len(self._steps) - bisect_right(self._steps, first_step)
        return self._num_keys(num_inside) <= keys

    def _num_keys(self, num_onsets: int) -> int:
        """How many different keys the last so many onsets struck."""
        return int((self._last >= len(self._pitches) - num_onsets).sum())
