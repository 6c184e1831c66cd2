"""Letting go of keys that new music holds for longer than pianists do.

A pianist, or the pedal, lets go of many keys together. A model that misses one of them has never
heard such a key ring on alone, and leaves it: of what it plays, keys up to a second old are let go
as often as by pianists, older ones ever less often (docs/lab-book.md has counts), until the music
blurs. So the release of a key becomes likelier with its age by as much as that falls short.
Nothing is forbidden, and nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import MAX_HELD_STEPS
from perceiver_music.tokenizer import vocabulary as v

FROM_STEPS: Final = 85
"""Younger keys are left alone."""
_STRENGTH = 0.35
_BONUS: Final = [
    _STRENGTH * float(np.log(max(1.0, age / FROM_STEPS))) for age in range(MAX_HELD_STEPS + 1)
]
"""Nats, by steps since the key was struck."""


def let_go_sooner(
    logits: npt.NDArray[np.floating], onset_steps: Mapping[int, int], step: int
) -> npt.NDArray[np.floating]:
    """Logits `[vocabulary]` with releases of old keys made likelier.

    Args:
        logits: of what comes next.
        onset_steps: pitch -> when its key was struck; below 0 for a key of the primer, which is
            let go at latest when it was there.
        step: now.
    """
    old = [(p, step - onset) for p, onset in onset_steps.items() if 0 <= onset < step - FROM_STEPS]
    if not old:
        return logits
    changed = logits.copy()
    for pitch, age in old:
        changed[v.NOTE_OFF + pitch] += _BONUS[min(age, MAX_HELD_STEPS)]
    return changed
