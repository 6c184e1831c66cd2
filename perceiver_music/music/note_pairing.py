"""Note-ons and note-offs to notes, as pretty_midi and note-seq pair them.

A note-off ends every sounding note of its pitch that began at an earlier tick. A note that began
at this very tick goes on if the note-off had another to end, and is left out if it had not. Notes
that never end are left out.

Where notes of one key overlap, other readers give each an end of its own, the first note the first
note-off. These are found, too, so that a copy of the file can have all of them.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Notes as positions of their events.

    Attributes:
        on: the note-ons, in rising order.
        off: the note-offs that end them.
        own_off: the same, but where notes overlap each has its own if there are enough.
        unfinished: how many notes never end.
        without_length: how many notes end at the tick at which they begin.
    """

    on: IntArray
    off: IntArray
    own_off: IntArray
    unfinished: int
    without_length: int


def pair_notes(voice: IntArray, tick: IntArray, is_on: BoolArray) -> Pairs:
    """Pair note-ons with note-offs.

    Args:
        voice: what a note-off must share with its note-on: track, channel and pitch in one number.
        tick: the moment of each event; never falling within a voice.
        is_on: whether the event is a note-on; else it is a note-off.
    """
    order = np.argsort(voice, kind="stable")
    voice, tick, is_on = voice[order], tick[order], is_on[order]
    same_voice = np.append(voice[1:] == voice[:-1], False)
    next_is_on = np.append(is_on[1:], False)
    no_later = np.append(tick[1:] == tick[:-1], False)
    # Where each note-on is followed by its note-off, the two are simply neighbours.
    odd = is_on & same_voice & (next_is_on | no_later)
    odd_voices = np.unique(voice[odd])
    plain = ~_is_among(voice, odd_voices)
    on = np.flatnonzero(is_on & same_voice & plain)
    unfinished = int(np.count_nonzero(is_on & ~same_voice & plain))
    off = own_off = on + 1
    without_length = 0
    if len(odd_voices):
        rows = np.flatnonzero(~plain)
        odd_rows, more_unfinished, without_length = _pair_one_by_one(
            rows.tolist(), voice[rows].tolist(), tick[rows].tolist(), is_on[rows].tolist()
        )
        table = np.array(odd_rows, dtype=np.int64).reshape(-1, 3)
        on, off, own_off = np.concatenate((np.stack((on, off, own_off), axis=1), table)).T
        unfinished += more_unfinished
    on, off, own_off = order[on], order[off], order[own_off]
    by_onset = np.argsort(on)
    return Pairs(on[by_onset], off[by_onset], own_off[by_onset], unfinished, without_length)


def _is_among(values: IntArray, rising: IntArray) -> BoolArray:
    if not len(rising):
        return np.zeros(len(values), dtype=np.bool_)
    place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    return np.asarray(rising[place] == values)


def _pair_one_by_one(
    rows: list[int], voices: list[int], ticks: list[int], is_on: list[bool]
) -> tuple[list[tuple[int, int, int]], int, int]:
    """Pair overlapping notes: events sorted by voice. Each note is opened and closed once.

    Returns:
        the rows of each note's on, of its off, and of its own off; how many notes never end; how
        many have no length.
    """
    ends: list[tuple[int, int]] = []
    own_off: dict[int, int] = {}
    unfinished = without_length = 0
    sounding: list[tuple[int, int]] = []
    waiting: deque[int] = deque()
    current_voice = -1
    for row, voice, tick, on in zip(rows, voices, ticks, is_on, strict=True):
        if voice != current_voice:
            unfinished += len(sounding)
            sounding, waiting, current_voice = [], deque(), voice
        if on:
            sounding.append((row, tick))
            waiting.append(row)
            continue
        if waiting:
            own_off[waiting.popleft()] = row
        ended = [start for start, start_tick in sounding if start_tick != tick]
        ends += [(start, row) for start in ended]
        begun = [note for note in sounding if note[1] == tick]
        without_length += 0 if ended else len(begun)
        sounding = begun if ended else []
    notes = [(on, off, own_off.get(on, off)) for on, off in ends]
    return notes, unfinished + len(sounding), without_length
