"""Where two note texts run alike: every run of equal intervals, found without an index on disk.

All windows of a few intervals are packed into one number each; those of the long text that the
short one has are found by a table of its numbers, in a pass that takes a hundredth of a second a
million notes. Windows that both have all too often (a trill matches everywhere) are followed from
the beginnings of the stretches that they make up, not from every note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.evaluation.note_text import Pitches, Places

MOST_PAIRS = 20_000
"""So many places of one window, in both texts together, are all followed."""

_PACKED = 8
_TABLE_BITS = 21
_ODD = np.uint64(0x9E3779B97F4A7C15)
_REACH = 32
"""Runs on one diagonal count for each other when at most so many notes lie between them."""

Codes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of equal intervals: places of their first notes, intervals in each, and a rank.

    `promise` is the length with that of its neighbours: notes in another order break a run in two.
    """

    query: Places
    text: Places
    length: Places
    promise: Places

    def chosen(self, rows: Places) -> Runs:
        """Some of the runs."""
        return Runs(
            query=self.query[rows],
            text=self.text[rows],
            length=self.length[rows],
            promise=self.promise[rows],
        )

    def best(self, number: int) -> list[tuple[int, int, int]]:
        """The most promising (query, text, length); the earliest of equals first."""
        order = np.lexsort((self.text, self.query, -self.promise))[:number]
        columns = (self.query[order], self.text[order], self.length[order])
        return list(zip(*(column.tolist() for column in columns), strict=True))


class WindowTable:
    """The windows of a long text, packed once.

    Args:
        intervals: as `NoteText.intervals` gives them.
    """

    def __init__(self, intervals: Pitches) -> None:
        self._intervals = intervals
        self._codes = _packed(intervals)

    def runs(self, query: Pitches, width: int) -> Runs:
        """All runs of at least `width` intervals that a query has in common with the text.

        Args:
            query: intervals of the query.
            width: 1 to 8.
        """
        kept = np.uint64((1 << (8 * width)) - 1)
        query_codes = _packed(query) & kept
        query_places = np.flatnonzero(_is_whole(query, width))
        wanted = np.unique(query_codes[query_places])
        table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        table[_slot(wanted)] = True
        places = np.flatnonzero(table[_slot(self._codes & kept)])
        found = self._codes[places] & kept
        which = np.minimum(np.searchsorted(wanted, found), max(0, len(wanted) - 1))
        is_wanted = wanted[which] == found if len(wanted) else np.zeros(0, np.bool_)
        text = _Windows.of(places[is_wanted], which[is_wanted])
        mine = _Windows.of(query_places, np.searchsorted(wanted, query_codes[query_places]))
        return _as_runs(*_pairs(mine, text, len(wanted)), width)


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Places of windows, the number of the code of each, and how many more of a kind follow."""

    place: Places
    code: Places
    reach: Places

    @classmethod
    def of(cls, place: Places, code: Places) -> _Windows:
        return cls(place=place, code=code, reach=np.ones(len(place), dtype=np.int64))

    def chosen(self, rows: npt.NDArray[np.bool_] | Places) -> _Windows:
        return _Windows(place=self.place[rows], code=self.code[rows], reach=self.reach[rows])

    def thinned(self, is_common: npt.NDArray[np.bool_]) -> _Windows:
        """Of the common codes only the first of each in a stretch, with the stretch's length."""
        rows = np.flatnonzero(is_common[self.code])
        if not len(rows):
            return self
        place, code = self.place[rows], self.code[rows]
        stretch = np.cumsum(np.diff(place, prepend=place[0]) > 1)
        last = place[np.append(np.flatnonzero(np.diff(stretch)), len(place) - 1)]
        _, first = np.unique(stretch * len(is_common) + code, return_index=True)
        followed = _Windows(
            place=place[first],
            code=code[first],
            reach=last[stretch[first]] - place[first] + 1,
        )
        rare = self.chosen(~is_common[self.code])
        return _Windows(
            place=np.concatenate((rare.place, followed.place)),
            code=np.concatenate((rare.code, followed.code)),
            reach=np.concatenate((rare.reach, followed.reach)),
        )

    def by_code(self, num_codes: int) -> tuple[_Windows, Places]:
        """In order of the codes, the longest reach first, and where each code begins."""
        order = np.lexsort((self.place, -self.reach, self.code))
        counts = np.bincount(self.code, minlength=num_codes)
        return self.chosen(order), np.concatenate(([0], np.cumsum(counts)))


def _packed(intervals: Pitches) -> Codes:
    """At each place the next 8 intervals in one number, the first in the lowest byte."""
    padded = np.concatenate((intervals, np.zeros(_PACKED - 1, dtype=np.uint8)))
    two = padded[:-1].astype(np.uint16) | (padded[1:].astype(np.uint16) << 8)
    four = two[:-2].astype(np.uint32) | (two[2:].astype(np.uint32) << 16)
    return four[:-4].astype(np.uint64) | (four[4:].astype(np.uint64) << np.uint64(32))


def _is_whole(intervals: Pitches, width: int) -> npt.NDArray[np.bool_]:
    """Where a window does not reach over the end of a piece."""
    ends = np.cumsum(np.concatenate(([0], intervals == 0)))
    is_whole = np.zeros(len(intervals), dtype=np.bool_)
    count = max(0, len(intervals) - width + 1)
    is_whole[:count] = ends[width : width + count] == ends[:count]
    return is_whole


def _slot(codes: Codes) -> Codes:
    return (codes * _ODD) >> np.uint64(64 - _TABLE_BITS)


def _pairs(query: _Windows, text: _Windows, num_codes: int) -> tuple[Places, Places, Places]:
    """Places of equal windows in both, and how many intervals more are known to be equal."""

    def both(one: _Windows, other: _Windows) -> Places:
        return np.bincount(one.code, minlength=num_codes) * np.bincount(
            other.code, minlength=num_codes
        )

    is_common = both(query, text) > MOST_PAIRS
    query, _ = query.thinned(is_common).by_code(num_codes)
    text, begins = text.thinned(is_common).by_code(num_codes)
    # What is common still: those places of the text where the stretch is longest.
    counts = np.diff(begins)
    most = MOST_PAIRS // np.maximum(1, np.bincount(query.code, minlength=num_codes))
    counts = np.minimum(counts, np.maximum(1, most))
    repeats = counts[query.code]
    row = np.repeat(np.arange(len(query.code)), repeats)
    within = np.arange(len(row)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    there = begins[query.code[row]] + within
    reach = np.minimum(query.reach[row], text.reach[there])
    return query.place[row], text.place[there], reach


def _as_runs(query: Places, text: Places, reach: Places, width: int) -> Runs:
    """Pairs that follow one another, put together."""
    if not len(query):
        return Runs(query=query, text=text, length=reach, promise=reach)
    diagonal = text - query
    order = np.lexsort((query, diagonal))
    query, text, reach, diagonal = query[order], text[order], reach[order], diagonal[order]
    end = query + reach
    is_new = np.ones(len(query), dtype=np.bool_)
    is_new[1:] = (np.diff(diagonal) != 0) | (query[1:] > end[:-1])
    first = np.flatnonzero(is_new)
    length = np.maximum.reduceat(end, first) - query[first] + width - 1
    query, text, diagonal = query[first], text[first], diagonal[first]
    is_apart = np.ones(len(first), dtype=np.bool_)
    is_apart[1:] = (np.diff(diagonal) != 0) | (query[1:] - query[:-1] - length[:-1] > _REACH)
    group = np.cumsum(is_apart) - 1
    promise = np.bincount(group, weights=length)[group].astype(np.int64)
    return Runs(query=query, text=text, length=length, promise=promise)
