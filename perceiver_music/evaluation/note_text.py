"""The notes of many pieces as one text that passages are looked for in.

Notes stand in the order of their onsets on the tokenizer's grid of 10 ms, those of one step from
the lowest up: the order in which a model reads and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import NoteArray
from perceiver_music.tokenizer.vocabulary import MICROSECONDS_PER_STEP

Pitches = npt.NDArray[np.uint8]
Steps = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NoteText:
    """Notes of some pieces, one after the other.

    Attributes:
        pitch: of every note.
        step: its onset, in steps of 10 ms from the start of its piece.
        first_note: where each piece begins; one more at the end.
    """

    pitch: Pitches
    step: Steps
    first_note: Places

    @classmethod
    def of(cls, pieces: Iterable[NoteArray]) -> NoteText:
        """The text of some pieces; an empty one keeps its number."""
        pitches, steps, first_note = [np.empty(0, np.uint8)], [np.empty(0, np.int32)], [0]
        for notes in pieces:
            step = (notes["start_us"] + MICROSECONDS_PER_STEP // 2) // MICROSECONDS_PER_STEP
            order = np.lexsort((notes["pitch"], step))
            pitches.append(notes["pitch"][order])
            steps.append(step[order].astype(np.int32))
            first_note.append(first_note[-1] + len(notes))
        return cls(
            pitch=np.concatenate(pitches),
            step=np.concatenate(steps),
            first_note=np.array(first_note, dtype=np.int64),
        )

    @cached_property
    def tellings(self) -> Places:
        """How many notes tell something, before each place and in all: all but those that go on
        with a trill, a tremolo or a repeated note, `[notes + 1]`.
        """
        pitch = self.pitch
        goes_on = np.zeros(len(pitch), dtype=np.bool_)
        goes_on[3:] = (pitch[3:] == pitch[1:-2]) & (pitch[2:-1] == pitch[:-3])
        return np.concatenate(([0], np.cumsum(~goes_on)))

    @property
    def num_pieces(self) -> int:
        """How many pieces there are."""
        return len(self.first_note) - 1

    def __len__(self) -> int:
        return len(self.pitch)

    def piece_of(self, places: Places) -> Places:
        """The piece in which each place lies."""
        return np.searchsorted(self.first_note, places, side="right") - 1
