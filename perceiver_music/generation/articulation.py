"""Keeping the primer's articulation: new music far shorter or longer of breath is led back.

How long notes are (where the pedal is no event of its own, with the pedal) is a manner of playing
that lasts; a model goes on as those whom it learned from mostly play, and music that is not like
theirs becomes choppy within seconds (docs/lab-book.md has counts). How far pianists go from it in
ten seconds follows from how far their last minute did in five; while new music goes no further,
nothing is touched. Beyond, releases become less likely or likelier, the further it is off. Lengths
are compared by their logarithms. Nothing is forbidden, and nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.note_lengths import NoteLengths
from perceiver_music.tokenizer import vocabulary as v

HEARD_SECONDS: Final = 10
STRETCH_STEPS: Final = 5 * v.STEPS_PER_SECOND

NARROWEST: Final = 0.3
"""How far off music goes of a primer that is the same all the time."""
_SHARE = 1.2
"""How much further it goes for what each stretch of a primer is off from the whole."""
_STRENGTH = 2.0
_LARGEST_BEND = 1.5


class ArticulationKeeper:
    """Listens to every event; `adjusted` bends a prediction while the articulation is far off.

    Args:
        tokens: what the model has been given.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._lengths = NoteLengths(tokens)
        self._keeps = self._lengths.is_manner
        self._long_steps = self._lengths.long_steps
        if self._keeps:
            self._mean = self._lengths.ended.mean
            self._spread = _spread(self._lengths)
        self._lengths.go_on(seconds=HEARD_SECONDS)

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._keeps:
            self._lengths.take(token)

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with releases more or less likely, if the articulation is off."""
        bend = self._bend()
        if not bend:
            return logits
        changed = logits.copy()
        changed[v.NOTE_OFF : v.TIME_SHIFT] += bend
        if bend < 0.0:  # a key that is old already is no short note
            for pitch in self._lengths.struck_before(self._lengths.step - self._long_steps):
                changed[v.NOTE_OFF + pitch] -= bend
        return changed

    def _bend(self) -> float:
        """Nats; above 0 where notes have become too long."""
        if not self._keeps or not self._lengths.is_manner:
            return 0.0
        off = self._lengths.ended.mean - self._mean
        beyond = max(0.0, abs(off) - self._spread)
        return math.copysign(min(_LARGEST_BEND, _STRENGTH * beyond), off)


def _spread(lengths: NoteLengths) -> float:
    """How far off ten seconds of music like this go, in standard deviations of one."""
    ended, mean = lengths.ended, lengths.ended.mean
    offs = [fmean(part) - mean for part in ended.stretches(lengths.step, STRETCH_STEPS, fewest=4)]
    return math.hypot(NARROWEST, _SHARE * math.hypot(*offs) / math.sqrt(max(1, len(offs))))
