"""The longest passage that a performance shares with a set of pieces, in any key and tempo.

A passage is shared when both have the same notes one after another, up to a transposition; notes
that begin within 50 ms of each other may stand in either order, for the keys of a chord are never
struck in the same order twice. Rhythm does not decide: a copy may be stretched or played freely.
How alike the rhythm is, is told beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from perceiver_music.evaluation.note_text import STEPS_PER_SECOND, NoteText, Pitches, Steps
from perceiver_music.evaluation.shared_runs import WindowTable
from perceiver_music.music.performance import NoteArray

CHORD_STEPS = 5
"""Notes this near to each other, in steps of 10 ms, may change places."""

_WIDTHS = (6, 3, 1)
"""Intervals by which runs are found; fewer only where nothing longer is shared."""
_MOST_FOLLOWED = 400
"""The most promising runs that are followed beyond the notes of their windows."""
_IOI_TOLERANCE_STEPS, _IOI_TOLERANCE = 3.0, 0.25
"""A step from note to note is the same when it differs by no more than the larger of these."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A passage of a query that a piece of the index has too.

    Attributes:
        num_notes: its length; 0 when nothing is shared.
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
        self._windows = WindowTable(text.intervals())

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
        return self.longest_shared_of_each([notes])[0]

    def longest_shared_of_each(self, queries: Sequence[NoteArray]) -> list[Passage]:
        """The same for several queries at once, which costs little more than for one."""
        query = NoteText.of(queries)
        if not len(query):
            return [_NOTHING] * len(queries)
        intervals = query.intervals()
        found: dict[int, Passage] = {}
        for width in _WIDTHS:
            runs = self._windows.runs(intervals, width)
            for number, rows in _rows_of_each(query, runs.query, len(queries)):
                if number not in found and len(rows):
                    own = runs.chosen(rows).best(_MOST_FOLLOWED)
                    found[number] = self._longest(query, own)
            if len(found) == len(queries):
                break
        return [found.get(number, _NOTHING) for number in range(len(queries))]

    def _longest(self, query: NoteText, runs: list[tuple[int, int, int]]) -> Passage:
        best = (0, 0, 0)
        followed: dict[int, list[range]] = {}
        for at, place, length in runs:
            known = followed.setdefault(place - at, [])
            if any(at in passage for passage in known):
                continue
            before, after = self._grown(query, at, place, length)
            known.append(range(at - before, at + length + after))
            num_notes = before + length + 1 + after
            if num_notes > best[0] or (num_notes == best[0] and at - before < best[1]):
                best = (num_notes, at - before, place - before)
        return self._passage(query, *best)

    def _grown(self, query: NoteText, at: int, place: int, length: int) -> tuple[int, int]:
        """By how many notes a run goes on before its first note and after its last one."""
        text = self._text
        own = int(np.searchsorted(query.first_note, at, side="right"))
        its = int(np.searchsorted(text.first_note, place, side="right"))
        shift = int(query.pitch[at]) - int(text.pitch[place])
        past, past_there = at + length + 1, place + length + 1
        room = min(int(query.first_note[own]) - past, int(text.first_note[its]) - past_there)
        after = _equal_notes(
            query.pitch[past : past + room],
            query.step[past : past + room],
            text.pitch[past_there : past_there + room],
            text.step[past_there : past_there + room],
            shift,
        )
        room = min(at - int(query.first_note[own - 1]), place - int(text.first_note[its - 1]))
        before = _equal_notes(
            query.pitch[at - room : at][::-1],
            query.step[at - room : at][::-1],
            text.pitch[place - room : place][::-1],
            text.step[place - room : place][::-1],
            shift,
        )
        return before, after

    def _passage(self, query: NoteText, num_notes: int, at: int, place: int) -> Passage:
        text = self._text
        here = query.step[at : at + num_notes]
        there = text.step[place : place + num_notes]
        return Passage(
            num_notes=num_notes,
            query_seconds=_span(here),
            piece=int(text.piece_of(np.array([place]))[0]),
            piece_seconds=_span(there),
            # The lowest of a chord's notes may stand first in one and last in the other.
            transposition=int(query.pitch[at : at + num_notes].min())
            - int(text.pitch[place : place + num_notes].min()),
            same_rhythm=_same_rhythm(here, there),
        )


def _rows_of_each(
    query: NoteText, places: np.ndarray, number: int
) -> Iterable[tuple[int, np.ndarray]]:
    if number == 1:
        return [(0, np.arange(len(places)))]
    owner = query.piece_of(places)
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(number + 1))
    return [(i, order[edges[i] : edges[i + 1]]) for i in range(number)]


def _equal_notes(
    query: Pitches, query_step: Steps, text: Pitches, text_step: Steps, shift: int
) -> int:
    """How many notes both begin with alike, where those of a chord may change places.

    Args:
        query: pitches from the frontier on, outward.
        query_step: their onsets.
        text: pitches there.
        text_step: their onsets.
        shift: semitones from the text to the query.
    """
    length = 64
    while True:
        same, is_over = _equal_rows(
            zip(
                query[:length].tolist(),
                query_step[:length].tolist(),
                (text[:length].astype(np.int16) + shift).tolist(),
                text_step[:length].tolist(),
                strict=True,
            )
        )
        if is_over or length >= len(query):
            return same
        length *= 8


def _equal_rows(rows: Iterable[tuple[int, int, int, int]]) -> tuple[int, bool]:
    """How many rows are alike, and whether it is known that no more are."""
    same = 0
    owed: dict[int, int] = {}
    since = since_there = 0
    for number, (pitch, step, pitch_there, step_there) in enumerate(rows, start=1):
        if not owed:
            if pitch == pitch_there:
                same = number
                continue
            since, since_there = step, step_there
        for key, change in ((pitch, 1), (pitch_there, -1)):
            count = owed.get(key, 0) + change
            if count:
                owed[key] = count
            else:
                del owed[key]
        if max(abs(step - since), abs(step_there - since_there)) > CHORD_STEPS:
            return same, True
        if not owed:
            same = number
    return same, False


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
