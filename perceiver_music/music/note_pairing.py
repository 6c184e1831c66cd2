"""Note-ons and note-offs to notes, as pretty_midi and note-seq pair them.

A note-off ends every sounding note of its pitch that began at an earlier tick. A note that began
at this very tick goes on if the note-off had another to end, and is left out if it had not. Notes
that never end are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def pair_notes(voice: IntArray, tick: IntArray, is_on: BoolArray) -> tuple[IntArray, IntArray, int]:
    """Pair note-ons with note-offs.

    Args:
        voice: what a note-off must share with its note-on: track, channel and pitch in one number.
        tick: the moment of each event; never falling within a voice.
        is_on: whether the event is a note-on; else it is a note-off.

    Returns:
        The positions of the paired note-ons, in rising order, those of their note-offs, and how
        many notes never end.
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
    off = on + 1
    if len(odd_voices):
        rows = np.flatnonzero(~plain)
        more_on, more_off, more_unfinished = _pair_one_by_one(
            rows.tolist(), voice[rows].tolist(), tick[rows].tolist(), is_on[rows].tolist()
        )
        on = np.concatenate((on, np.array(more_on, dtype=np.int64)))
        off = np.concatenate((off, np.array(more_off, dtype=np.int64)))
        unfinished += more_unfinished
    on, off = order[on], order[off]
    by_onset = np.argsort(on)
    return on[by_onset], off[by_onset], unfinished


def _is_among(values: IntArray, rising: IntArray) -> BoolArray:
    if not len(rising):
        return np.zeros(len(values), dtype=np.bool_)
    place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    return np.asarray(rising[place] == values)


def _pair_one_by_one(
    rows: list[int], voices: list[int], ticks: list[int], is_on: list[bool]
) -> tuple[list[int], list[int], int]:
    """Pair overlapping notes: events sorted by voice. Each note is opened and closed once."""
    on_rows: list[int] = []
    off_rows: list[int] = []
    unfinished = 0
    sounding: list[tuple[int, int]] = []
    current_voice = -1
    for row, voice, tick, on in zip(rows, voices, ticks, is_on, strict=True):
        if voice != current_voice:
            unfinished += len(sounding)
            sounding, current_voice = [], voice
        if on:
            sounding.append((row, tick))
            continue
        ended = [start for start, start_tick in sounding if start_tick != tick]
        on_rows.extend(ended)
        off_rows.extend([row] * len(ended))
        sounding = [note for note in sounding if note[1] == tick] if ended else []
    return on_rows, off_rows, unfinished + len(sounding)
