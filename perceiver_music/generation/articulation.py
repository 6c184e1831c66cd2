"""Keeping the primer's articulation: new music far shorter or longer of breath is led back.

How long notes are (where the pedal is no event of its own, with the pedal) is a manner of playing
that lasts; a model goes on as those
whom it learned from mostly play, and music that is not like theirs becomes choppy within seconds
(docs/lab-book.md has counts). While the notes that ended in the last seconds are on average about
as long as the primer's, give or take the spread of its own lengths, nothing is touched; beyond,
releases become less likely or likelier, the further it is off. Lengths are compared by their
logarithms. Nothing is forbidden, and nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.recent import Recent
from perceiver_music.tokenizer import vocabulary as v

PRIMER_SECONDS: Final = 60
"""The articulation is that of the primer's end, of so much of it at most."""
HEARD_SECONDS: Final = 10
FEWEST_NOTES: Final = 12
"""Fewer have no articulation, in the primer as in what was heard."""

NARROWEST: Final = math.log(1.5)
"""Of a file whose notes are all as long, the least ratio that counts."""
_STRENGTH = 2.0
_LARGEST_BEND = 1.5


class ArticulationKeeper:
    """Listens to every event; `adjusted` bends a prediction while the articulation is far off.

    Args:
        tokens: what the model has been given.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._step = 0
        self._struck: dict[int, int] = {}
        self._ended = Recent()
        """Of the notes that ended last, the logarithm of how many steps each was long."""
        for token in tokens:
            self._listen(token, seconds=PRIMER_SECONDS)
        lengths = self._ended.since(0)
        has_articulation = len(lengths) >= FEWEST_NOTES
        self._mean = fmean(lengths) if has_articulation else None
        self._spread = max(NARROWEST, pstdev(lengths)) if has_articulation else math.inf
        self._ended = Recent()

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._mean is not None:
            self._listen(token, seconds=HEARD_SECONDS)

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with releases more or less likely, if the articulation is off."""
        bend = self._bend()
        if not bend:
            return logits
        changed = logits.copy()
        changed[v.NOTE_OFF : v.TIME_SHIFT] += bend
        return changed

    def _listen(self, token: int, *, seconds: int) -> None:
        if v.NOTE_ON <= token < v.NOTE_OFF:
            self._struck[token - v.NOTE_ON] = self._step
        elif v.NOTE_OFF <= token < v.TIME_SHIFT:
            struck = self._struck.pop(token - v.NOTE_OFF, None)
            if struck is not None:
                self._ended.add(self._step, math.log(max(1, self._step - struck)))
        elif v.TIME_SHIFT <= token < v.VELOCITY:
            self._step += token - v.TIME_SHIFT + 1
            self._ended.forget_before(self._step - seconds * v.STEPS_PER_SECOND)

    def _bend(self) -> float:
        """Nats; above 0 where notes have become too long."""
        if self._mean is None or len(self._ended) < FEWEST_NOTES:
            return 0.0
        off = self._ended.mean - self._mean
        beyond = max(0.0, abs(off) - self._spread)
        return math.copysign(min(_LARGEST_BEND, _STRENGTH * beyond), off)
