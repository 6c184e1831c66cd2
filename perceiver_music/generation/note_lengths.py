"""How long the notes of a primer and of new music are, in logarithms.

Lengths span three orders of magnitude; their ratios are what is heard, and what lasts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from perceiver_music.generation.recent import Recent
from perceiver_music.tokenizer import vocabulary as v

PRIMER_SECONDS: Final = 60
"""A primer's manner is that of its end, of so much of it at most."""
FEWEST_NOTES: Final = 12
"""Fewer have no articulation, in the primer as in what was heard."""

YOUNGEST: Final = 85
OLDEST: Final = 400
"""Steps; whatever is played, younger keys were not forgotten, and older ones may have been."""
_LONG: Final = 0.85
"""As long as that much of a primer's notes are at most, no key was forgotten in it."""


class NoteLengths:
    """Listens to every event.

    Attributes:
        step: now.
        ended: of the notes that ended last, the logarithm of how many steps each was long.

    Args:
        tokens: what was played before.
        seconds: how long a note that has ended is remembered.
    """

    def __init__(self, tokens: Sequence[int] = (), *, seconds: int = PRIMER_SECONDS) -> None:
        self.step = 0
        self.ended = Recent()
        self._seconds = seconds
        self._struck: dict[int, int] = {}
        for token in tokens:
            self.take(token)

    @property
    def is_manner(self) -> bool:
        """Whether they are enough to say how somebody plays."""
        return len(self.ended) >= FEWEST_NOTES

    @property
    def long_steps(self) -> int:
        """How old a key is at most that cannot have been forgotten."""
        if not self.is_manner:
            return YOUNGEST
        return min(max(YOUNGEST, self.quantile_steps(_LONG)), OLDEST)

    def quantile_steps(self, share: float) -> int:
        """The steps that such a share of the notes that ended is not longer than."""
        return round(math.exp(float(np.quantile(self.ended.since(0), share))))

    def share_shorter(self, steps: int) -> float:
        """How many of the notes that ended, of which there is one at least, are shorter."""
        limit = math.log(max(1, steps)) - 1e-9
        return sum(length < limit for length in self.ended.since(0)) / len(self.ended)

    def struck_after(self, step: int) -> list[int]:
        """The keys that sound since after a step."""
        return [pitch for pitch, struck in self._struck.items() if struck > step]

    def struck_before(self, step: int) -> list[int]:
        """The keys that sound since before a step."""
        return [pitch for pitch, struck in self._struck.items() if struck < step]

    def go_on(self, *, seconds: int) -> None:
        """Forget what ended, not what still sounds, and remember for so long from now on."""
        self.ended, self._seconds = Recent(), seconds

    def take(self, token: int) -> None:
        """Go on by one event."""
        if v.NOTE_ON <= token < v.NOTE_OFF:
            self._struck[token - v.NOTE_ON] = self.step
        elif v.NOTE_OFF <= token < v.TIME_SHIFT:
            struck = self._struck.pop(token - v.NOTE_OFF, None)
            if struck is not None:
                self.ended.add(self.step, math.log(max(1, self.step - struck)))
        elif v.TIME_SHIFT <= token < v.VELOCITY:
            self.step += token - v.TIME_SHIFT + 1
            self.ended.forget_before(self.step - self._seconds * v.STEPS_PER_SECOND)
