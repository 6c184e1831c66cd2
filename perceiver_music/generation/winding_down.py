"""Music that is about to stop: slower, and towards the tonic, without looking ahead.

`--ending` looks for its end among many (`ending.py`), which takes seconds; an answer that sounds
while it is drawn can only be led to a place where it may stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.last_chord import Tonic, pitches_of
from perceiver_music.generation.pace import bent
from perceiver_music.tokenizer import vocabulary as v

SLOWEST: Final = 6.0
"""Nats at the very end, as `pace.bent` counts them."""
LEAN: Final = 2.0
"""Nats at the very end, for each key that leads to the tonic."""


class WindingDown:
    """Leads music to a stop.

    Args:
        tokens: what comes before it.
        first: the progress from which it is led, 0 to 1.
    """

    def __init__(self, tokens: Sequence[int], first: float) -> None:
        pitches = pitches_of(tokens)
        self._leaning = Tonic.of(pitches).leaning() if len(pitches) else np.zeros(128)
        self._first = first

    def adjusted(
        self, logits: npt.NDArray[np.floating], progress: float
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]`, changed the more the further the music is."""
        share = (progress - self._first) / (1.0 - self._first)
        if share <= 0.0:
            return logits
        led = bent(logits, SLOWEST * share)
        led[v.NOTE_ON : v.NOTE_OFF] += LEAN * share * self._leaning
        return led
