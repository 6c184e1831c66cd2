"""Name of a tokenizer -> the tokenizer. A new one is one file, one row here and one test."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import UsageError
from perceiver_music.music.performance import Performance
from perceiver_music.tokenizer import infilling, performance_events, vocabulary
from perceiver_music.tokenizer.base import Tokenizer


class MaestroPerformance(Tokenizer):
    """The 388 performance events of Music Transformer and Perceiver AR, and 12 specials."""

    name = "maestro-performance-400"
    vocabulary_size = vocabulary.VOCABULARY_SIZE
    fingerprint = vocabulary.FINGERPRINT
    event_layout = {  # noqa: RUF012 (never changed; the base class says Mapping)
        "note_on": vocabulary.NOTE_ON,
        "note_off": vocabulary.NOTE_OFF,
        "time_shift": vocabulary.TIME_SHIFT,
        "velocity": vocabulary.VELOCITY,
        "suffix": infilling.SUFFIX,
        "middle": infilling.MIDDLE,
        "num_pitches": 128,
        "num_shifts": vocabulary.MAX_SHIFT_STEPS,
        "num_velocities": vocabulary.NUM_VELOCITY_BINS,
    }

    def encode(self, performance: Performance) -> npt.NDArray[np.uint16]:
        """See `performance_events.encode`."""
        return performance_events.encode(performance)

    def decode(self, ids: npt.ArrayLike) -> Performance:
        """See `performance_events.decode`."""
        return performance_events.decode(ids)

    def seconds(self, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """See `performance_events.id_seconds`."""
        return performance_events.id_seconds(ids)

    def describe(self, token_id: int) -> tuple[str, int]:
        """See `vocabulary.describe`."""
        return vocabulary.describe(token_id)


DEFAULT_TOKENIZER: Final = MaestroPerformance.name
TOKENIZERS: Final[dict[str, Tokenizer]] = {MaestroPerformance.name: MaestroPerformance()}


def get_tokenizer(name: str = DEFAULT_TOKENIZER) -> Tokenizer:
    """The tokenizer of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return TOKENIZERS[name]
    except KeyError:
        raise UsageError(
            f"there is no tokenizer {name!r}", hint=f"There is: {', '.join(TOKENIZERS)}."
        ) from None
