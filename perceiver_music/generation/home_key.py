"""Keeping the primer's key: new music that has wandered far from it is led home.

A model loses the key more often than pianists leave it (docs/lab-book.md has counts). While what
was struck in the last seconds fits the 24 keys much as the primer does, nothing is touched; beyond,
the pitch classes of the primer become likelier among the keys that may be struck, the further off
it is. How likely it is that a key is struck at all stays as it was. Nothing is forbidden, and
nothing is drawn: music that the model is sure of goes where it goes, and pianists modulate, too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.key import KEY_PROFILES
from perceiver_music.tokenizer import vocabulary as v

PRIMER_SECONDS: Final = 60
"""The key is that of the primer's end, of so much of it at most."""
HEARD_SECONDS: Final = 10
FEWEST_ONSETS: Final = 12
"""Fewer have no key, in the primer as in what was heard."""

NEAR: Final = 0.8
"""So well a pianist's ten seconds agree with the primer, half of the time."""
_STRENGTH = 1.0
_FLOOR = 0.02
"""Share of all onsets that every pitch class is given, so that none is impossible."""
_LEAST = -2.0
"""Where a primer has few pitch classes, the others are not shunned for it."""
_NO_FIT = 1e-6

# How well a histogram fits 24 keys, less the mean fit: its length does not matter to a correlation.
_FITS = KEY_PROFILES - KEY_PROFILES.mean(axis=0)

Floats = npt.NDArray[np.float64]


class KeyKeeper:
    """Listens to every event; `adjusted` bends a prediction while the key is far off.

    Args:
        tokens: what the model has been given.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._step = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._heard = np.zeros(12)
        for token in tokens:
            self._listen(token, seconds=PRIMER_SECONDS)
        home = _fit(self._heard)
        self._home: Floats | None = None
        if len(self._recent) >= FEWEST_ONSETS and home.any():
            self._home = home
            self._pull = np.resize(_STRENGTH * _likelihoods(self._heard), 128)
        self._recent.clear()
        self._heard[:] = 0
        self._bend: Floats | None = None

    def take(self, token: int) -> None:
        """Go on by one event of new music."""
        if self._home is None or not self._listen(token, seconds=HEARD_SECONDS):
            return
        self._bend = None
        if len(self._recent) >= FEWEST_ONSETS:
            distance = NEAR - float(self._home @ _fit(self._heard))
            if distance > 0.0:
                self._bend = distance * self._pull
                self._growth = np.exp(self._bend)

    def _listen(self, token: int, *, seconds: int) -> bool:
        """Hear an event, and forget what is longer ago; whether it was an onset."""
        if v.TIME_SHIFT <= token < v.VELOCITY:
            self._step += token - v.TIME_SHIFT + 1
        if not v.NOTE_ON <= token < v.NOTE_OFF:
            return False
        pitch_class = (token - v.NOTE_ON) % 12
        self._recent.append((self._step, pitch_class))
        self._heard[pitch_class] += 1
        while self._recent[0][0] < self._step - seconds * v.STEPS_PER_SECOND:
            _, forgotten = self._recent.popleft()
            self._heard[forgotten] -= 1
        return True

    def adjusted(
        self, logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with the primer's pitch classes made likelier, if they are missed.

        Args:
            logits: the prediction.
            allowed: which ids may come next.
        """
        if self._bend is None:
            return logits
        may_be = allowed[v.NOTE_ON : v.NOTE_OFF]
        struck = np.where(may_be, logits[v.NOTE_ON : v.NOTE_OFF], -np.inf)
        likeliest = struck.max()
        if likeliest == -np.inf:
            return logits
        weights = np.exp(struck - likeliest, dtype=np.float64)
        grown = math.log(weights @ self._growth / weights.sum())
        changed = logits.copy()
        changed[v.NOTE_ON : v.NOTE_OFF] += may_be * (self._bend - grown)
        return changed


def _fit(histogram: Floats) -> Floats:
    """How well it fits each key, of mean 0 and length 1: two of them multiplied correlate them."""
    fits = _FITS @ histogram
    size = float(np.linalg.norm(fits))
    return np.asarray(fits / size if size > _NO_FIT else np.zeros_like(fits))


def _likelihoods(histogram: Floats) -> Floats:
    """Log-likelihood of each pitch class, less its mean over the onsets counted."""
    shares = histogram / histogram.sum()
    found = np.log(shares + _FLOOR)
    return np.maximum(found - shares @ found, _LEAST)
