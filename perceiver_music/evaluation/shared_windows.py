"""Where two note texts may be alike: windows of the same notes, in whichever order and key.

A window is known by the sum of its pitches' codes, counted from the lowest of them. Those of the
long text that the short one has are found by a table of the sums, in a pass that takes a hundredth
of a second a million notes. Windows inside a trill are passed over; others that both have all too
often are followed from the beginnings of the stretches that they make up, not from every note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.evaluation.note_text import NoteText, Pitches, Places
from perceiver_music.evaluation.pitch_codes import Codes, codes_of, lowering

MOST_PAIRS = 100_000
"""So many places of one window, in both texts together, are all followed."""
MOST_PAIRS_IN_ALL = 4_000_000
"""Where there would be more, each window has fewer: what bounds the memory."""

_TABLE_BITS = 21
_FEWEST_TELLING = 4
_REACH = 32
"""Windows on one diagonal count for each other when at most so many notes lie between them."""


@dataclass(frozen=True, kw_only=True)
class Meetings:
    """Where a query is laid on a text, as the windows that both have say.

    Attributes:
        query: places in the query.
        text: the place in the text that each is laid on.
        shift: semitones from the text to the query.
        promise: how many notes are in equal windows, there and near by.
    """

    query: Places
    text: Places
    shift: Places
    promise: Places

    def __len__(self) -> int:
        return len(self.query)

    def chosen(self, rows: Places) -> Meetings:
        """Some of them."""
        return Meetings(**{name: column[rows] for name, column in vars(self).items()})

    def best(self, number: int) -> Meetings:
        """The most promising; the earliest of equals first."""
        return self.chosen(np.lexsort((self.text, self.query, -self.promise))[:number])


class WindowTable:
    """The windows of a long text.

    Args:
        text: the notes.
        width: notes in the windows that are kept ready; others are made each time.
    """

    def __init__(self, text: NoteText, width: int) -> None:
        self._text = text
        self._sums = _sums(text.pitch)
        self._width = width
        self._ready = _windows(text.pitch, self._sums, width)

    def meetings(self, query: NoteText, width: int) -> Meetings:
        """Where a query and the text have windows of `width` notes in common.

        Only windows count that begin with the same note: what is alike has such ones, while most
        that lie askew (a trill on a trill, a note late) have none. Of those that follow one
        another in both only the first is given.
        """
        query_codes, query_low = _windows(query.pitch, _sums(query.pitch), width)
        query_places = _telling(query, _whole(query, np.arange(len(query_codes)), width), width)
        wanted, own = np.unique(query_codes[query_places], return_inverse=True)
        table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        table[_slot(wanted)] = True
        codes, low = self._ready
        if width != self._width:
            codes, low = _windows(self._text.pitch, self._sums, width)
        places = _whole(self._text, np.flatnonzero(table[_slot(codes)]), width)
        found = codes[places]
        which = np.minimum(np.searchsorted(wanted, found), max(0, len(wanted) - 1))
        is_wanted = wanted[which] == found if len(wanted) else np.zeros(0, np.bool_)
        text = _Windows.of(places[is_wanted], which[is_wanted])
        mine = _Windows.of(query_places, own)
        at, there, reach = _pairs(mine, text, len(wanted))
        shift = query_low[at].astype(np.int64) - low[there]
        is_same = query.pitch[at] == self._text.pitch[there] + shift
        at, there, reach, shift = at[is_same], there[is_same], reach[is_same], shift[is_same]
        order = np.lexsort((at, there - at))
        at, there, reach, shift = at[order], there[order], reach[order], shift[order]
        every = Meetings(
            query=at,
            text=there,
            shift=shift,
            promise=_promise(query, at, there, reach + width - 1),
        )
        return every.chosen(_firsts(every, reach))


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


def _sums(pitch: Pitches) -> Codes:
    """Of the codes of all pitches before each place, and of all."""
    sums = np.zeros(len(pitch) + 1, dtype=np.uint64)
    np.cumsum(codes_of(pitch), out=sums[1:])
    return sums


def _windows(pitch: Pitches, sums: Codes, width: int) -> tuple[Codes, Pitches]:
    """Of the window that begins at each place: its code and its lowest pitch."""
    if len(pitch) < width:
        return np.zeros(0, dtype=np.uint64), pitch[:0]
    lowest, spanned = pitch, 1
    while spanned < width:
        step = min(spanned, width - spanned)
        lowest = np.minimum(lowest[:-step], lowest[step:])
        spanned += step
    return (sums[width:] - sums[:-width]) * lowering(lowest), lowest


def _whole(text: NoteText, places: Places, width: int) -> Places:
    """Those at which a window does not reach over the end of a piece."""
    return places[text.piece_of(places) == text.piece_of(places + width - 1)]


def _telling(text: NoteText, places: Places, width: int) -> Places:
    """Those at which a window is more than a part of a trill."""
    counted = text.tellings[places + width] - text.tellings[places]
    return places[counted >= min(width, _FEWEST_TELLING)]


def _slot(codes: Codes) -> Codes:
    return codes >> np.uint64(64 - _TABLE_BITS)


def _pairs(query: _Windows, text: _Windows, num_codes: int) -> tuple[Places, Places, Places]:
    """Places of equal windows in both, and how many windows may follow that are equal too."""

    def both(one: _Windows, other: _Windows) -> Places:
        return np.bincount(one.code, minlength=num_codes) * np.bincount(
            other.code, minlength=num_codes
        )

    num_pairs, most_pairs = both(query, text), MOST_PAIRS
    while num_pairs[num_pairs <= most_pairs].sum() > MOST_PAIRS_IN_ALL:
        most_pairs //= 2
    is_common = num_pairs > most_pairs
    query, _ = query.thinned(is_common).by_code(num_codes)
    text, begins = text.thinned(is_common).by_code(num_codes)
    # What is common still: those places of the text where the stretch is longest.
    counts = np.diff(begins)
    most = most_pairs // np.maximum(1, np.bincount(query.code, minlength=num_codes))
    counts = np.minimum(counts, np.maximum(1, most))
    repeats = counts[query.code]
    row = np.repeat(np.arange(len(query.code)), repeats)
    within = np.arange(len(row)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    there = begins[query.code[row]] + within
    reach = np.minimum(query.reach[row], text.reach[there])
    return query.place[row], text.place[there], reach


def _promise(notes: NoteText, query: Places, text: Places, length: Places) -> Places:
    """Notes that count in windows at each and near by, where both go on along a diagonal."""
    is_other = np.diff(text - query) != 0
    # Each window counts up to where the next one begins.
    end = query + length
    end[:-1][~is_other] = np.minimum(end[:-1], query[1:])[~is_other]
    covered = notes.tellings[np.minimum(end, len(notes))] - notes.tellings[query]
    is_apart = np.ones(len(query), dtype=np.bool_)
    is_apart[1:] = is_other | (np.diff(query) - length[:-1] > _REACH)
    group = np.cumsum(is_apart) - 1
    return np.bincount(group, weights=covered)[group].astype(np.int64)


def _firsts(every: Meetings, reach: Places) -> Places:
    """Those that no other one goes before on their diagonal."""
    is_first = np.ones(len(every), dtype=np.bool_)
    is_first[1:] = (
        (np.diff(every.text - every.query) != 0)
        | (np.diff(every.query) > reach[:-1])
        | (np.diff(every.shift) != 0)
    )
    return np.flatnonzero(is_first)
