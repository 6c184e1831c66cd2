"""What one player has played, in memory that does not grow."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from perceiver_music.music.performance import (
    MICROSECONDS,
    NOTE_DTYPE,
    PEDAL_DTYPE,
    NoteArray,
    PedalArray,
    Performance,
)

MAX_NOTES: Final = 100_000
"""About three hours of dense playing; then the older half is forgotten."""
MAX_MOVES: Final = 200_000
SHORTEST_US: Final = 2_000
"""A key that is struck and let go within one look at the ports sounded for about so long."""

OtherMove = tuple[int, int, int]
"""Microseconds, a pedal's controller number, its value."""


class Tape:
    """Notes and pedal moves, from the moment that its clock calls `start`."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._notes = np.zeros(MAX_NOTES, dtype=NOTE_DTYPE)
        self._moves = np.zeros(MAX_MOVES, dtype=PEDAL_DTYPE)
        self._num_notes = self._num_moves = 0
        self._other_moves: deque[OtherMove] = deque(maxlen=MAX_MOVES)
        self._down: dict[int, int] = {}
        """Key -> the row of its note, whose end is still open."""
        self.total_notes = 0

    def restart(self, start: float) -> None:
        """Count from another moment, by which pedals may have moved but no key has."""
        assert not self._num_notes
        self._start = start
        self._moves["time_us"][: self._num_moves] = 0
        moves = [(0, number, value) for _, number, value in self._other_moves]
        self._other_moves = deque(moves, maxlen=MAX_MOVES)

    @property
    def keys_down(self) -> frozenset[int]:
        """The keys that are down."""
        return frozenset(self._down)

    @property
    def has_forgotten(self) -> bool:
        """Whether it was too much for the tape."""
        return self.total_notes > self._num_notes

    def press(self, pitch: int, velocity: int, now: float) -> None:
        """A key goes down."""
        self.release(pitch, now)
        if self._num_notes == MAX_NOTES:
            self._forget_notes()
        at = self._us(now)
        self._notes[self._num_notes] = (at, at, pitch, velocity)
        self._down[pitch] = self._num_notes
        self._num_notes += 1
        self.total_notes += 1

    def release(self, pitch: int, now: float) -> None:
        """A key comes up, if it was down."""
        row = self._down.pop(pitch, None)
        if row is not None:
            self._notes["end_us"][row] = self._end_us(row, now)

    def move_pedal(self, value: int, now: float) -> None:
        """The sustain pedal moves."""
        if self._num_moves == MAX_MOVES:
            half = MAX_MOVES // 2
            self._moves[:half] = self._moves[half:].copy()
            self._num_moves = half
        self._moves[self._num_moves] = (self._us(now), value)
        self._num_moves += 1

    def move_other_pedal(self, number: int, value: int, now: float) -> None:
        """A pedal moves that the model does not hear: soft or sostenuto."""
        self._other_moves.append((self._us(now), number, value))

    def other_moves(self, now: float) -> list[OtherMove]:
        """What these pedals did; where one is down it comes up now."""
        stands = {number: value for _, number, value in self._other_moves}
        lifts = [(self._us(now), number, 0) for number, value in stands.items() if value]
        return [*self._other_moves, *lifts]

    def _forget_notes(self) -> None:
        half = MAX_NOTES // 2
        self._notes[:half] = self._notes[half:].copy()
        self._num_notes = half
        self._down = {pitch: row - half for pitch, row in self._down.items() if row >= half}

    def notes(self, now: float, *, latest: int | None = None) -> NoteArray:
        """The latest notes; those whose keys are down end now."""
        first = 0 if latest is None else max(0, self._num_notes - latest)
        notes = self._notes[first : self._num_notes].copy()
        for row in self._down.values():
            if row >= first:
                notes["end_us"][row - first] = self._end_us(row, now)
        return notes

    def moves(self, now: float) -> PedalArray:
        """The pedal's moves; where it is down it comes up now."""
        moves = self._moves[: self._num_moves].copy()
        if len(moves) and moves["value"][-1]:
            up = np.array([(self._us(now), 0)], dtype=PEDAL_DTYPE)
            moves = np.concatenate((moves, up))
        return moves

    def performance(self, now: float) -> Performance:
        """All that is on the tape."""
        return Performance(self.notes(now), self.moves(now))

    def _end_us(self, row: int, now: float) -> int:
        return max(self._us(now), int(self._notes["start_us"][row]) + SHORTEST_US)

    def _us(self, now: float) -> int:
        return max(0, round((now - self._start) * MICROSECONDS))


def together(tapes: tuple[Tape, ...], now: float, *, latest: int) -> tuple[Performance, int]:
    """What several players played, as one performance, and from when on.

    Args:
        tapes: started at the same moment.
        now: until when.
        latest: so many notes of each at most.

    Returns:
        the performance; the moment, in microseconds, from which on nothing of it is missing: 0
        where all of it is there.
    """
    notes = [tape.notes(now, latest=latest) for tape in tapes]
    cut = [
        int(part["start_us"][0])
        for part, tape in zip(notes, tapes, strict=True)
        if len(part) < tape.total_notes
    ]
    moves = np.concatenate([tape.moves(now) for tape in tapes])
    return Performance(np.concatenate(notes), moves), max(cut, default=0)
