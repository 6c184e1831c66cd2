"""The longest passage that a performance shares with a set of pieces, in any key and tempo.

A passage is shared when both have the same notes one after another, up to a transposition; notes
that begin within 50 ms of each other may stand in either order, for the keys of a chord are never
struck in the same order twice. Rhythm does not decide: a copy may be stretched or played freely.
How alike the rhythm is, is told beside. Of a trill, a tremolo or a repeated note the first three
notes count: everybody plays those, and nobody copies them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from perceiver_music.evaluation.equal_notes import equal_notes
from perceiver_music.evaluation.note_text import NoteText, Steps
from perceiver_music.evaluation.shared_windows import Meetings, WindowTable
from perceiver_music.music.performance import NoteArray
from perceiver_music.tokenizer.vocabulary import STEPS_PER_SECOND

_WIDTHS = (10, 5, 2)
"""Notes in the windows that are looked up; fewer only where nothing longer is shared."""
_MOST_FOLLOWED = 4_000
"""So many of the most promising places where both have the same notes are followed."""
_IOI_TOLERANCE_STEPS, _IOI_TOLERANCE = 3.0, 0.25
"""A step from note to note is the same when it differs by no more than the larger of these."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A passage of a query that a piece of the index has too.

    Attributes:
        num_notes: its notes that count; 0 when nothing is shared.
        query_seconds: where it begins in the query, and how long it is there, onset to onset.
        piece: index of the piece, in the order given; None when nothing is shared.
        piece_seconds: the same in that piece.
        transposition: semitones from the piece to the query.
        same_rhythm: share of its steps from note to note that are as long as in the piece, to
            within 30 ms or a quarter, after the whole is brought to the piece's length.
    """

    num_notes: int
    query_seconds: tuple[float, float]
    piece: int | None
    piece_seconds: tuple[float, float]
    transposition: int
    same_rhythm: float


_NOTHING = Passage(
    num_notes=0,
    query_seconds=(0.0, 0.0),
    piece=None,
    piece_seconds=(0.0, 0.0),
    transposition=0,
    same_rhythm=0.0,
)


class PassageIndex:
    """All notes of some pieces, ready to be searched.

    Args:
        text: the pieces.

    Raises:
        ValueError: there is not one note.
    """

    def __init__(self, text: NoteText) -> None:
        if not len(text):
            raise ValueError("an index of no notes finds nothing")
        self._text = text
        self._windows = WindowTable(text, _WIDTHS[0])

    @classmethod
    def of(cls, pieces: Iterable[NoteArray]) -> PassageIndex:
        """The index of some pieces' notes."""
        return cls(NoteText.of(pieces))

    @property
    def num_pieces(self) -> int:
        """How many pieces are searched."""
        return self._text.num_pieces

    def longest_shared(self, notes: NoteArray) -> Passage:
        """The longest passage of some notes that is in the index; the earliest of equals."""
        query = NoteText.of([notes])
        for width in _WIDTHS:
            meetings = self._windows.meetings(query, width)
            if len(meetings):
                at, end, place = self._longest(query, meetings)
                # What is shorter than a window may not be the longest.
                if query.tellings[end] - query.tellings[at] >= width:
                    return self._passage(query, at, end, place)
        return _NOTHING

    def _longest(self, query: NoteText, meetings: Meetings) -> tuple[int, int, int]:
        """Of the most promising meetings what is alike longest: where it is, to before where."""
        best = meetings.best(_MOST_FOLLOWED)
        before, after = equal_notes(query, self._text, best)
        at, end, place = best.query - before, best.query + after, best.text - before
        num_notes = query.tellings[end] - query.tellings[at]
        longest = np.lexsort((place, at, at - end, -num_notes))[0]
        return int(at[longest]), int(end[longest]), int(place[longest])

    def _passage(self, query: NoteText, at: int, end: int, place: int) -> Passage:
        text = self._text
        here = query.step[at:end]
        there = text.step[place : place + end - at]
        return Passage(
            num_notes=int(query.tellings[end] - query.tellings[at]),
            query_seconds=_span(here),
            piece=int(text.piece_of(np.array([place]))[0]),
            piece_seconds=_span(there),
            # The lowest of a chord's notes may stand first in one and last in the other.
            transposition=int(query.pitch[at:end].min())
            - int(text.pitch[place : place + end - at].min()),
            same_rhythm=_same_rhythm(here, there),
        )


def _span(steps: Steps) -> tuple[float, float]:
    begin, end = int(steps[0]), int(steps[-1])
    return begin / STEPS_PER_SECOND, (end - begin) / STEPS_PER_SECOND


def _same_rhythm(here: Steps, there: Steps) -> float:
    span = int(there[-1] - there[0])
    if len(here) < 2 or not span:
        return 1.0
    wanted = np.diff(there) * (int(here[-1] - here[0]) / span)
    tolerance = np.maximum(_IOI_TOLERANCE_STEPS, _IOI_TOLERANCE * wanted)
    return float((np.abs(np.diff(here) - wanted) <= tolerance).mean())
