"""Name of a tokenizer -> the tokenizer. A new one is one file, one row here and one test."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.music.performance import NoteArray, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import pedal_events, performance_events, vocabulary
from perceiver_music.tokenizer.base import Tokenizer


def _event_layout(table: vocabulary.Vocabulary) -> dict[str, int]:
    return {
        "note_on": table.first_id["NOTE_ON"],
        "note_off": table.first_id["NOTE_OFF"],
        "time_shift": table.first_id["TIME_SHIFT"],
        "velocity": table.first_id["VELOCITY"],
        "suffix": table.token_id("RESERVED", 0),
        "middle": table.token_id("RESERVED", 1),
        "num_pitches": 128,
        "num_shifts": vocabulary.MAX_SHIFT_STEPS,
        "num_velocities": table.num_velocities,
    }


class MaestroPerformance(Tokenizer):
    """The 388 performance events of Music Transformer and Perceiver AR, and 12 specials."""

    name = "maestro-performance-400"
    vocabulary = vocabulary.MAESTRO
    event_layout = _event_layout(vocabulary)
    can_infill = True
    plays_pedal = False

    def notes(self, performance: Performance) -> NoteArray:
        """As heard: the pedal makes them longer."""
        return apply_sustain(performance).notes

    def stored_performance(self, ids: npt.NDArray[np.uint16], notes: NoteArray) -> Performance:
        """The notes, which need no pedal any more."""
        return Performance(notes)

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
        """See `Vocabulary.describe`."""
        return self.vocabulary.describe(token_id)


class PedalPerformance(Tokenizer):
    """Notes as played, every velocity, and the sustain pedal as events of its own."""

    name = "pedal-performance-623"
    vocabulary = vocabulary.PEDAL
    event_layout = _event_layout(vocabulary)
    can_infill = False
    plays_pedal = True

    def notes(self, performance: Performance) -> NoteArray:
        """As played: from key down to key up."""
        return performance.notes

    def stored_performance(self, ids: npt.NDArray[np.uint16], notes: NoteArray) -> Performance:
        """What the ids say: pedal and notes must stay in the order in which they were."""
        return self.decode(ids)

    def encode(self, performance: Performance) -> npt.NDArray[np.uint16]:
        """See `pedal_events.encode`."""
        return pedal_events.encode(performance)

    def decode(self, ids: npt.ArrayLike) -> Performance:
        """See `pedal_events.decode`."""
        return pedal_events.decode(ids)

    def seconds(self, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """See `pedal_events.id_seconds`."""
        return pedal_events.id_seconds(ids)

    def describe(self, token_id: int) -> tuple[str, int]:
        """See `Vocabulary.describe`."""
        return self.vocabulary.describe(token_id)


DEFAULT_TOKENIZER: Final = MaestroPerformance.name
TOKENIZERS: Final[dict[str, Tokenizer]] = {
    tokenizer.name: tokenizer for tokenizer in (MaestroPerformance(), PedalPerformance())
}


def get_tokenizer(name: str = DEFAULT_TOKENIZER) -> Tokenizer:
    """The tokenizer of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return TOKENIZERS[name]
    except KeyError:
        raise UsageError(
            f"there is no tokenizer {name!r}", hint=f"There are: {', '.join(TOKENIZERS)}."
        ) from None


def tokenizer_of(name: str, fingerprint: str) -> Tokenizer:
    """The tokenizer that a file was made with.

    Raises:
        InvalidInputError: this program has no such tokenizer, or one whose ids mean other things.
    """
    tokenizer = TOKENIZERS.get(name)
    if tokenizer is None or tokenizer.fingerprint != fingerprint:
        raise InvalidInputError("made with another vocabulary than this program's")
    return tokenizer
