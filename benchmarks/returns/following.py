"""Which notes of a piece go along a passage that was played before.

A hidden Markov model of which earlier note each one repeats, if any (the forward algorithm,
Rabiner 1989; as score followers do it).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SETTING_OUT: Final = 0.002
"""For each note, how likely a passage begins to be repeated with it."""
LEAVING: Final = 0.03
STEPS: Final = ((1, 0.8), (2, 0.06), (3, 0.02), (-1, 0.02))
"""From the note repeated last to the one that is next, and how likely; else a note is new. Keys of
one chord are struck in another order every time."""
NEW: Final = 1.0 - sum(share for _, share in STEPS)
KEY_LIKELIHOOD: Final = 0.3
"""Of a note that repeats nothing; what the bundled network gives the next key, on average."""
NEAREST: Final = 24
"""A passage begins to be repeated no sooner than so many notes after it."""


def places(pitches: npt.ArrayLike) -> Ints:
    """For each note the number of the one that it repeats; -1 where it rather repeats none.

    Args:
        pitches: `[notes]`, in the order in which they begin.
    """
    keys = np.asarray(pitches, dtype=np.int64)
    found = np.full(len(keys), -1)
    now, free = np.zeros(len(keys)), 1.0
    for num in range(NEAREST + 1, len(keys)):
        is_same = keys[:num] == keys[num]
        before = now[:num]
        ahead = np.zeros(num)
        for step, share in STEPS:
            if step > 0:
                ahead[step:] += share * before[:-step]
            else:
                ahead[:step] += share * before[-step:]
        new = (1.0 - LEAVING) * (is_same * ahead + NEW * KEY_LIKELIHOOD * before)
        starts = np.flatnonzero(is_same[: num - NEAREST])
        setting_out = SETTING_OUT * free * KEY_LIKELIHOOD
        on_its_own = KEY_LIKELIHOOD * (free * (1.0 - SETTING_OUT) + LEAVING * (1.0 - free))
        if len(starts):
            new[starts] += setting_out / len(starts)
        else:
            on_its_own += setting_out
        now[:num] = new / (new.sum() + on_its_own)
        free = 1.0 - float(now[:num].sum())
        if free < 0.5:
            found[num] = int(now[:num].argmax())
    return found
