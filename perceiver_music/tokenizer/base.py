"""What a tokenizer promises: a performance to ids and back, and words for each id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import Performance


class Tokenizer(ABC):
    """Turns performances into ids below `vocabulary_size`, and any ids back into a performance."""

    name: str
    """By which stores and checkpoints know it."""
    vocabulary_size: int
    fingerprint: str
    """Changes whenever the meaning of any id does."""
    event_layout: Mapping[str, int]
    """Which ids are which events, for a model that counts them: the fields of its layout."""

    @abstractmethod
    def encode(self, performance: Performance) -> npt.NDArray[np.uint16]:
        """The ids of a performance, specials not among them."""

    @abstractmethod
    def decode(self, ids: npt.ArrayLike) -> Performance:
        """The performance that ids describe; any sequence of ids has a meaning.

        Raises:
            InvalidInputError: something is not an id of the vocabulary.
        """

    @abstractmethod
    def seconds(self, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """When each id takes effect, in seconds from the start.

        Raises:
            InvalidInputError: something is not an id of the vocabulary.
        """

    @abstractmethod
    def describe(self, token_id: int) -> tuple[str, int]:
        """Name and value of an id.

        Raises:
            ValueError: there is no such id.
        """
