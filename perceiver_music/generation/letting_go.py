"""Letting go of keys that new music holds for longer than its primer does.

A pianist, or the pedal, lets go of many keys together. A model that misses one of them has never
heard such a key ring on alone, and leaves it: keys as old as the longest of a primer are let go
ever less often than by pianists (docs/lab-book.md has counts), until the music blurs. So the
release of a key becomes likelier with its age by as much as that falls short. How old that is, the
primer says: where chords are held for seconds, nothing was forgotten in them. Nothing is forbidden,
and nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import MAX_HELD_STEPS
from perceiver_music.generation.note_lengths import NoteLengths
from perceiver_music.tokenizer import vocabulary as v

_STRENGTH = 0.7
"""Nats, for each factor of e by which a key is older."""


class LettingGo:
    """Makes releases of old keys likelier.

    Attributes:
        from_steps: how old a key is at most that is left alone.

    Args:
        tokens: of the primer.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self.from_steps = NoteLengths(tokens).long_steps

    def adjusted(
        self, logits: npt.NDArray[np.floating], onset_steps: Mapping[int, int], step: int
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with releases of old keys made likelier.

        Args:
            logits: of what comes next.
            onset_steps: pitch -> when its key was struck; below 0 for a key of the primer, which
                is let go at latest when it was there.
            step: now.
        """
        latest = step - self.from_steps
        old = [(pitch, onset) for pitch, onset in onset_steps.items() if 0 <= onset < latest]
        if not old:
            return logits
        changed = logits.copy()
        for pitch, onset in old:
            age = min(step - onset, MAX_HELD_STEPS)
            changed[v.NOTE_OFF + pitch] += _STRENGTH * math.log(age / self.from_steps)
        return changed
