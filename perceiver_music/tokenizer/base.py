"""What a tokenizer promises: a performance to ids and back, and words for each id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import UsageError
from perceiver_music.music.performance import NoteArray, Performance
from perceiver_music.tokenizer.vocabulary import Vocabulary


class Tokenizer(ABC):
    """Turns performances into ids below `vocabulary_size`, and any ids back into a performance."""

    name: str
    """By which stores and checkpoints know it."""
    vocabulary: Vocabulary
    """What each id means; ids below `TIME_SHIFT + MAX_SHIFT_STEPS` mean the same in all."""
    event_layout: Mapping[str, int]
    """Which ids are which events, for a model that counts them: the fields of its layout."""
    can_infill: bool
    """Whether a piece can be taken apart into a gap and what is around it."""
    plays_pedal: bool
    """Whether the pedal is events of its own, and notes end when their keys rise."""

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return self.vocabulary.size

    @property
    def fingerprint(self) -> str:
        """Changes whenever the meaning of any id does."""
        return self.vocabulary.fingerprint

    def require_infilling(self) -> None:
        """Refuse, where gaps are asked for, a tokenizer that has none.

        Raises:
            UsageError: it has none.
        """
        if not self.can_infill:
            raise UsageError(
                f"the tokenizer {self.name} has no way to write a gap",
                hint="Fill gaps with a checkpoint of maestro-performance-400, such as the bundled "
                "one; train with windows.infill_share=0.",
            )

    @abstractmethod
    def notes(self, performance: Performance) -> NoteArray:
        """The notes of a performance as the ids mean them: as heard, or as played."""

    @abstractmethod
    def stored_performance(self, ids: npt.NDArray[np.uint16], notes: NoteArray) -> Performance:
        """The performance behind a piece of a store, which keeps its ids and its notes."""

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
