"""The longest passage that a performance shares with a set of pieces, in any key and tempo.

A piece is the sequence of its notes' pitches in the order in which they begin; a passage is shared
when the intervals from note to note are the same, which neither transposition nor tempo changes.
The search is exact: a suffix array over all pieces finds, for every note of a query, the longest
match that begins there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import MICROSECONDS, NoteArray

_SORTED_LENGTH = 64
"""Suffixes are sorted by so many intervals; a longer match is followed note by note."""
_MOST_CANDIDATES = 4096
"""Of the places that match so far, so many are followed: a trill matches everywhere."""
_NO_NOTE = np.uint8(0)
"""In place of an interval after a piece's last note."""

Intervals = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A passage of a query that a piece of the index has too.

    Attributes:
        num_notes: its length; 0 when nothing is shared.
        query_seconds: where it begins in the query, and how long it is there.
        piece: index of the piece, in the order given; None when nothing is shared.
        piece_seconds: the same in that piece.
        transposition: semitones from the piece to the query.
    """

    num_notes: int
    query_seconds: tuple[float, float]
    piece: int | None
    piece_seconds: tuple[float, float]
    transposition: int


_NOTHING = Passage(
    num_notes=0, query_seconds=(0.0, 0.0), piece=None, piece_seconds=(0.0, 0.0), transposition=0
)


class PassageIndex:
    """All notes of some pieces, ready to be searched.

    Args:
        pieces: notes of each piece, in order of their onsets.

    Raises:
        ValueError: there is not one note.
    """

    def __init__(self, pieces: Iterable[NoteArray]) -> None:
        notes = [piece[["start_us", "pitch"]] for piece in pieces]
        if not any(map(len, notes)):
            raise ValueError("an index of no notes finds nothing")
        self._first_note = np.cumsum([0] + [len(piece) for piece in notes])
        self._start_us = np.concatenate([piece["start_us"] for piece in notes])
        self._pitch = np.concatenate([piece["pitch"] for piece in notes])
        # A piece has as many symbols as notes, so that a place in one is a place in the other.
        intervals = [
            np.append(_intervals(piece["pitch"]), _NO_NOTE) for piece in notes if len(piece)
        ]
        # So that every suffix is as long as those that are compared.
        padding = np.full(_SORTED_LENGTH, _NO_NOTE)
        self._intervals = np.concatenate([*intervals, padding])
        self._order = _suffix_order(self._intervals)

    @property
    def num_pieces(self) -> int:
        """How many pieces are searched."""
        return len(self._first_note) - 1

    def longest_shared(self, notes: NoteArray) -> Passage:
        """The longest passage of `notes` that is in the index; the earliest of equals.

        Args:
            notes: in order of their onsets.
        """
        query = _intervals(notes["pitch"])
        if not len(query):
            return _NOTHING
        best_length, best_place, best_at = 0, 0, 0
        padded = np.concatenate((query, np.full(_SORTED_LENGTH, _NO_NOTE)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, _SORTED_LENGTH)[: len(query)]
        below, above = self._bracket(windows)
        lengths = np.maximum(
            self._common_length(windows, below), self._common_length(windows, above)
        )
        lengths = np.minimum(lengths, np.arange(len(query), 0, -1))
        for at in np.argsort(-lengths, kind="stable"):
            if lengths[at] < min(best_length, _SORTED_LENGTH) or lengths[at] == 0:
                break
            length, place = self._follow(query[at:], windows[at], int(lengths[at]))
            if length > best_length or (length == best_length and at < best_at):
                best_length, best_place, best_at = length, place, int(at)
        return self._passage(notes, best_at, best_place, best_length)

    def _bracket(self, windows: Intervals) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each window the suffixes just below and at or above it in the order."""
        low = np.zeros(len(windows), dtype=np.int64)
        high = np.full(len(windows), len(self._order), dtype=np.int64)
        while (low < high).any():
            middle = (low + high) // 2
            is_below = self._is_below(windows, np.minimum(middle, len(self._order) - 1))
            is_open = low < high
            low = np.where(is_open & is_below, middle + 1, low)
            high = np.where(is_open & ~is_below, middle, high)
        return np.maximum(low - 1, 0), np.minimum(low, len(self._order) - 1)

    def _suffixes(self, ranks: npt.NDArray[np.int64]) -> Intervals:
        return self._intervals[self._order[ranks][:, None] + np.arange(_SORTED_LENGTH)]

    def _is_below(self, windows: Intervals, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        suffixes = self._suffixes(ranks)
        differs = suffixes != windows
        first = differs.argmax(axis=1)[:, None]
        is_less = np.take_along_axis(suffixes, first, 1) < np.take_along_axis(windows, first, 1)
        return is_less[:, 0] & differs.any(axis=1)

    def _common_length(
        self, windows: Intervals, ranks: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        differs = self._suffixes(ranks) != windows
        return np.where(differs.any(axis=1), differs.argmax(axis=1), _SORTED_LENGTH)

    def _follow(self, query: Intervals, window: Intervals, length: int) -> tuple[int, int]:
        """The longest match of the beginning of `query`, and where it is."""
        first = self._rank_of(window[:length], 0)
        if length < _SORTED_LENGTH:
            return length, int(self._order[first])
        last = self._rank_of(window[:length], 1)
        best_length, best_place = 0, 0
        for place in np.sort(self._order[first : min(last, first + _MOST_CANDIDATES)]):
            there = self._intervals[place : place + len(query)]
            differs = np.flatnonzero(there != query[: len(there)])
            found = int(differs[0]) if len(differs) else len(there)
            if found > best_length:
                best_length, best_place = found, int(place)
        return best_length, best_place

    def _rank_of(self, prefix: Intervals, past: int) -> int:
        """Rank of the first suffix that begins with `prefix`, or just past the last one."""
        low, high = 0, len(self._order)
        wanted = prefix.tobytes()
        while low < high:
            middle = (low + high) // 2
            place = int(self._order[middle])
            found = self._intervals[place : place + len(prefix)].tobytes()
            if found < wanted or (past and found == wanted):
                low = middle + 1
            else:
                high = middle
        return low

    def _passage(self, notes: NoteArray, at: int, place: int, length: int) -> Passage:
        if length == 0:
            return _NOTHING
        piece = int(np.searchsorted(self._first_note, place, side="right")) - 1
        return Passage(
            num_notes=length + 1,
            query_seconds=_span(notes["start_us"], at, length),
            piece=piece,
            piece_seconds=_span(self._start_us, place, length),
            transposition=int(notes["pitch"][at]) - int(self._pitch[place]),
        )


def _span(start_us: npt.NDArray[np.int64], first: int, num_intervals: int) -> tuple[float, float]:
    begin, end = int(start_us[first]), int(start_us[first + num_intervals])
    return begin / MICROSECONDS, (end - begin) / MICROSECONDS


def _intervals(pitch: npt.NDArray[np.uint8]) -> Intervals:
    """Steps from each note to the next, -127 to 127, as 1 to 255."""
    return (np.diff(pitch.astype(np.int16)) + 128).astype(np.uint8)


def _suffix_order(symbols: Intervals) -> npt.NDArray[np.int64]:
    """Places of `symbols` in the order of what follows them, `_SORTED_LENGTH` symbols deep.

    The last `_SORTED_LENGTH` places, which are padding, are left out. Ranks by 8 symbols, packed
    into one number, are doubled to 16, 32, 64.
    """
    packed = np.zeros(len(symbols), dtype=np.uint64)
    for i in range(8):
        packed <<= np.uint64(8)
        packed[: len(symbols) - i] |= symbols[i:].astype(np.uint64)
    order, rank = _ranked(packed)
    length = 8
    while length < _SORTED_LENGTH:
        following = np.zeros(len(symbols), dtype=np.uint64)
        following[:-length] = rank[length:] + np.uint64(1)
        order, rank = _ranked((rank << np.uint64(32)) | following)
        length *= 2
    return order[order < len(symbols) - _SORTED_LENGTH]


def _ranked(keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """The order of keys, and the rank of each among those that differ."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    ranks = np.cumsum(np.diff(in_order, prepend=in_order[:1]) != 0).astype(np.uint64)
    rank = np.empty_like(ranks)
    rank[order] = ranks
    return order, rank
