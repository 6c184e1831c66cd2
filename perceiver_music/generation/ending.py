"""`--ending`: how a piece is brought to its end inside its length.

The end is always the model's own EOS, drawn in silence. It is made likelier in steps:

1. In the first half there is no ending: a primer that is itself complete would end at once.
2. From 60 per cent on, EOS's logit rises by up to `EOS_RISE` after a chord that was held. At
   moments of silence inside pieces of MAESTRO's validation split the bundled model's
   log-probability of EOS is -14 (median) and -8 (95th percentile), at true ends -1: so what sounds
   final is taken first, whatever comes later.
3. In the coda, from 85 per cent on, striking a key gets unlikelier too, and so does letting one go
   that was struck less than `HELD_STEPS` ago. In the last part no key is struck any more: the last
   chord rings, is let go, and EOS follows.

Nothing is cut but what still sounds at the very end of the length; that is no ending, and is not
called one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.limits import Limits
from perceiver_music.tokenizer import vocabulary as v

FIRST_END: Final = 0.5
RISE_BEGINS: Final = 0.6
CODA: Final = 0.85
EOS_RISE: Final = 12.0
NOTES_FALL: Final = 8.0
HELD_STEPS: Final = 135
"""Three of four last chords of MAESTRO's validation split sound for longer."""

_SHORTEST_CODA = {"steps": 4 * v.STEPS_PER_SECOND, "events": 40, "notes": 10}
_LAST_PART = 0.5
"""Of the coda; after it no key is struck."""
_SOONER = 4.0
"""Keys are held long before the last of them is struck, so that the last chord is a long one."""
_NEVER = 1000.0

Logits = npt.NDArray[np.floating]


class Ending:
    """Bends predictions towards an end, the more the nearer the end of the length is."""

    def __init__(self, limits: Limits) -> None:
        shortest = min(
            1.0 - _SHORTEST_CODA[unit] / total for unit, total in limits.totals().items()
        )
        self.coda = max(0.0, min(CODA, shortest))
        self._rise_begins = min(RISE_BEGINS, self.coda)
        self._first_end = min(FIRST_END, self.coda)

    def adjusted(self, logits: Logits, progress: float, grammar: Grammar) -> Logits:
        """Logits `[vocabulary]` for the next event.

        Args:
            logits: the model's.
            progress: how much of the length is made, 0 to 1.
            grammar: what sounds, and since when.
        """
        bent = logits.copy()
        if progress < self._first_end:
            bent[v.EOS] -= _NEVER
            return bent
        fall = (progress - self.coda) / (_LAST_PART * (1.0 - self.coda))
        if grammar.last_release_step - grammar.last_onset_step >= HELD_STEPS or fall >= 1.0:
            rise = (progress - self._rise_begins) / max(self.coda - self._rise_begins, 1e-9)
            bent[v.EOS] += EOS_RISE * min(max(rise, 0.0), 1.0)
        if fall > 0.0:
            self._bend_keys(bent, fall, grammar)
        return bent

    @staticmethod
    def _bend_keys(bent: Logits, fall: float, grammar: Grammar) -> None:
        fewer = NOTES_FALL * fall if fall < 1.0 else _NEVER
        bent[v.NOTE_ON : v.NOTE_OFF] -= fewer
        bent[v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS] -= fewer
        for pitch, onset in grammar.onset_step.items():
            if grammar.step - onset < HELD_STEPS:
                bent[v.NOTE_OFF + pitch] -= NOTES_FALL * min(_SOONER * fall, 1.0)
            elif fall >= 1.0:
                bent[v.NOTE_OFF + pitch] += NOTES_FALL * min(_SOONER * (fall - 1.0), 1.0)
