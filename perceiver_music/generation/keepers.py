"""What new music keeps of its primer: pace, touch, articulation and key."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.articulation import ArticulationKeeper
from perceiver_music.generation.home_key import KeyKeeper
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.pace import PaceKeeper
from perceiver_music.generation.primer import EMPTY_OPENING, Opening
from perceiver_music.generation.touch import TouchKeeper
from perceiver_music.tokenizer import vocabulary as v


class Keepers:
    """Listen to every event; `adjusted` bends a prediction while the music is far from its primer.

    Args:
        opening: what new music goes on from.
        sampling: what of it is kept.
    """

    def __init__(self, opening: Opening, sampling: SamplingOptions) -> None:
        around = opening.around
        # Where the music goes from one side of a gap to the other, the model can see.
        seen = () if opening.is_of_gap and not opening.is_bare else around
        self._pace, self._keeps_pace = PaceKeeper(around), sampling.keep_pace
        self._touch = TouchKeeper(seen if sampling.keep_touch else (), opening.vocabulary)
        self._articulation = ArticulationKeeper(seen if sampling.keep_articulation else ())
        self._key = KeyKeeper(seen if sampling.keep_key else ())

    @classmethod
    def of_nothing(cls) -> Self:
        """Those that keep nothing."""
        return cls(EMPTY_OPENING, SamplingOptions())

    @property
    def longest_wait(self) -> int | None:
        """Steps after which the next key is struck; None of a primer that has no pace."""
        return self._pace.longest_wait

    def take(self, token: int) -> None:
        """Go on by one event."""
        self._touch.take(token)
        if token < v.VELOCITY:
            self._pace.take(token)
            self._articulation.take(token)
            self._key.take(token)

    def adjusted(
        self, logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` as the primer would have them.

        Args:
            logits: the prediction.
            allowed: which ids may come next.
        """
        if self._keeps_pace:
            logits = self._pace.adjusted(logits)
        logits = self._touch.adjusted(logits)
        logits = self._articulation.adjusted(logits)
        return self._key.adjusted(logits, allowed)
