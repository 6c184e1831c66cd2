"""Keeping the primer's articulation: new music far shorter or longer of breath is led back.

How long notes are (where the pedal is no event of its own, with the pedal) is a manner of playing
that lasts; a model goes on as those whom it learned from mostly play, and music that is not like
theirs becomes choppy within seconds (docs/lab-book.md has counts). How far pianists go from it in
ten seconds follows from how far their last minute did in five; while new music goes no further,
nothing is touched. Beyond, releases become less likely or likelier, the further it is off. Lengths
are compared by their logarithms.

Besides, too many of its notes may be shorter than hardly any of the primer's, whatever the others
are; then the releases of keys struck so lately become less likely. Nothing is forbidden, and
nothing is drawn.
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

_SHORT = 0.05
"""So few of a primer's notes are short; of one that is the same all the time, none."""
_MOST_SHORT = 0.1
"""In three of four stretches of ten seconds pianists go on with no more."""
_SHORT_STRENGTH = 3.0
"""Nats, for each factor of e by which there are more."""
_LARGEST_SHORT_BEND = 3.0


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
            near = round(math.exp(self._mean - self._spread))
            self._short_steps = min(near, self._lengths.quantile_steps(_SHORT))
        self._lengths.go_on(seconds=HEARD_SECONDS)

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._keeps:
            self._lengths.take(token)

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with releases more or less likely, if the articulation is off."""
        if not self._keeps or not self._lengths.is_manner:
            return logits
        bend, short_bend = self._bend(), self._short_bend()
        if not bend and not short_bend:
            return logits
        lengths, changed = self._lengths, logits.copy()
        changed[v.NOTE_OFF : v.TIME_SHIFT] += bend
        if bend < 0.0:  # a key that is old already is no short note
            for pitch in lengths.struck_before(lengths.step - self._long_steps):
                changed[v.NOTE_OFF + pitch] -= bend
        if short_bend:
            for pitch in lengths.struck_after(lengths.step - self._short_steps):
                changed[v.NOTE_OFF + pitch] -= short_bend
        return changed

    def _bend(self) -> float:
        """Nats; above 0 where notes have become too long."""
        off = self._lengths.ended.mean - self._mean
        beyond = max(0.0, abs(off) - self._spread)
        return math.copysign(min(_LARGEST_BEND, _STRENGTH * beyond), off)

    def _short_bend(self) -> float:
        """Nats by which keys struck lately are held on, where too many notes are short."""
        share = self._lengths.share_shorter(self._short_steps)
        if share <= _MOST_SHORT:
            return 0.0
        return min(_LARGEST_SHORT_BEND, _SHORT_STRENGTH * math.log(share / _MOST_SHORT))


def _spread(lengths: NoteLengths) -> float:
    """How far off ten seconds of music like this go, in standard deviations of one."""
    ended, mean = lengths.ended, lengths.ended.mean
    offs = [fmean(part) - mean for part in ended.stretches(lengths.step, STRETCH_STEPS, fewest=4)]
    return math.hypot(NARROWEST, _SHARE * math.hypot(*offs) / math.sqrt(max(1, len(offs))))
