"""Keeping the primer's touch: new music that is far louder or softer is led back.

A model goes on as loudly as those whom it learned from mostly play; a file that is played louder
or softer than they do, as many are that no pianist played, fades or swells within seconds
(docs/lab-book.md has counts). While the last seconds are on average about as loud as the primer,
give or take the spread of its own velocities, nothing is touched, and pianists are mostly within
that; beyond, louder or softer velocities become likelier, the further off it is. How likely it is
that the velocity changes at all stays as it was. Nothing is forbidden, and nothing is drawn.

How loud that is depends on when: just after the primer mostly as its last seconds were, half a
minute later as its last minute was, as it is with pianists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.recent import Recent
from perceiver_music.tokenizer import vocabulary as v

PRIMER_SECONDS: Final = 60
"""The touch is that of the primer's end, of so much of it at most."""
HEARD_SECONDS: Final = 10
FEWEST_ONSETS: Final = 12
"""A primer of fewer has no touch."""
FEWEST_HEARD: Final = 4
FADING_SECONDS: Final = 20
"""How soon the primer's last ten seconds count no more than its last minute (docs/lab-book.md)."""

NARROWEST: Final = 4.0
"""Of a file whose notes are all as loud, the least difference that counts, in MIDI velocity."""
_STRENGTH = 0.015
"""Nats for each step of MIDI velocity, for each that the last seconds are too soft or too loud."""
_LARGEST_BEND = 0.1


@dataclass(frozen=True)
class _Touch:
    """How loud notes are, in MIDI velocity, and how far apart."""

    mean: float
    spread: float

    def towards(self, other: _Touch, share: float) -> _Touch:
        return _Touch(
            mean=self.mean + share * (other.mean - self.mean),
            spread=self.spread + share * (other.spread - self.spread),
        )


class TouchKeeper:
    """Listens to every event; `adjusted` bends a prediction while the touch is far off.

    Args:
        tokens: what the model has been given.
        vocabulary: whose velocities they are.
    """

    def __init__(self, tokens: Sequence[int], vocabulary: v.Vocabulary = v.MAESTRO) -> None:
        self._first = vocabulary.first_id["VELOCITY"]
        numbers = range(1, vocabulary.num_velocities + 1)
        self._loudness = np.array([vocabulary.midi_velocity(n) for n in numbers], dtype=np.float64)
        self._step, self._velocity = 0, math.nan
        self._recent = Recent()
        for token in tokens:
            self._listen(token, seconds=PRIMER_SECONDS)
        self._begins = self._step
        self._late = self._touch_since(self._step - HEARD_SECONDS * v.STEPS_PER_SECOND)
        self._whole = self._touch_since(0)
        self._recent = Recent()

    def _touch_since(self, step: int) -> _Touch | None:
        velocities = self._recent.since(step)
        if len(velocities) < FEWEST_ONSETS:
            return None
        spread = max(NARROWEST, float(np.std(velocities)))
        return _Touch(mean=float(np.mean(velocities)), spread=spread)

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._whole is not None:
            self._listen(token, seconds=HEARD_SECONDS)

    def adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with other velocities likelier, if the touch is far off."""
        bend = self._bend()
        if not bend:
            return logits
        changed = logits.copy()
        velocities = changed[self._first : self._first + len(self._loudness)]
        before = np.logaddexp.reduce(velocities)
        velocities -= bend * self._loudness
        velocities += before - np.logaddexp.reduce(velocities)
        return changed

    def _listen(self, token: int, *, seconds: int) -> None:
        if v.TIME_SHIFT <= token < v.TIME_SHIFT + v.MAX_SHIFT_STEPS:
            self._step += token - v.TIME_SHIFT + 1
            self._recent.forget_before(self._step - seconds * v.STEPS_PER_SECOND)
        elif self._first <= token < self._first + len(self._loudness):
            self._velocity = float(self._loudness[token - self._first])
        elif v.NOTE_ON <= token < v.NOTE_OFF and not math.isnan(self._velocity):
            self._recent.add(self._step, self._velocity)

    def _bend(self) -> float:
        """Nats for each step of MIDI velocity; above 0 where the music has become too loud."""
        if self._whole is None or len(self._recent) < FEWEST_HEARD:
            return 0.0
        wanted = self._whole
        if self._late is not None:
            seconds = (self._step - self._begins) / v.STEPS_PER_SECOND
            wanted = wanted.towards(self._late, math.exp(-seconds / FADING_SECONDS))
        off = self._recent.mean - wanted.mean
        beyond = max(0.0, abs(off) - wanted.spread)
        return math.copysign(min(_LARGEST_BEND, _STRENGTH * beyond), off)
