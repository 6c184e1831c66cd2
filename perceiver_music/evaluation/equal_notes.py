"""How far two note texts go on alike from where they meet, while a chord's notes change places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perceiver_music.evaluation.note_text import NoteText, Places
from perceiver_music.evaluation.pitch_codes import codes_of, transposing
from perceiver_music.evaluation.shared_windows import Meetings

CHORD_STEPS = 5
"""Notes this near to each other, in steps of 10 ms, may change places."""

_FIRST_NOTES, _TIMES_MORE = 32, 8
"""So many notes are compared at first, and so many times more of those that go on."""
_CELLS = 1 << 19
"""So many are compared at once: what bounds the memory."""


def equal_notes(query: NoteText, text: NoteText, meetings: Meetings) -> tuple[Places, Places]:
    """Before each meeting and from it on: how many notes both have alike, within their pieces.

    They are alike up to a note when both have had the same pitches by then, and had not differed
    for longer than a chord takes to be struck.
    """
    before, after = (
        _equal_notes(query, text, meetings, direction, np.minimum(room, room_there))
        for direction, room, room_there in zip(
            (-1, 1), _rooms(query, meetings.query), _rooms(text, meetings.text), strict=True
        )
    )
    return before, after


def _rooms(text: NoteText, places: Places) -> tuple[Places, Places]:
    """How many notes of the piece are before each place, and from it on."""
    piece = text.piece_of(places)
    return places - text.first_note[piece], text.first_note[piece + 1] - places


def _equal_notes(
    query: NoteText, text: NoteText, meetings: Meetings, direction: int, room: Places
) -> Places:
    same = np.zeros(len(meetings), dtype=np.int64)
    rows, length = np.arange(len(meetings)), _FIRST_NOTES
    while len(rows):
        going_on = []
        for some in np.array_split(rows, -(-len(rows) * length // _CELLS)):
            same[some], is_open = _equal_up_to(
                query, text, meetings.chosen(some), direction, np.minimum(room[some], length)
            )
            going_on.append(some[is_open & (room[some] > length)])
        rows = np.concatenate(going_on)
        length *= _TIMES_MORE
    return same


def _equal_up_to(
    query: NoteText, text: NoteText, meetings: Meetings, direction: int, room: Places
) -> tuple[Places, npt.NDArray[np.bool_]]:
    """How many of the next `room` notes are alike, and whether it takes more notes to know."""
    ahead = np.arange(max(1, int(room.max(initial=0))))
    is_beyond = ahead >= room[:, None]
    offset = np.minimum(ahead, np.maximum(room - 1, 0)[:, None])
    if direction < 0:
        offset = -1 - offset
    here, there = meetings.query[:, None] + offset, meetings.text[:, None] + offset
    # Where there is no room, any place will do.
    here, there = here % len(query), there % len(text)
    moved = codes_of(text.pitch[there]) * transposing(meetings.shift)[:, None]
    is_even = np.cumsum(codes_of(query.pitch[here]) - moved, axis=1, dtype=np.uint64) == 0
    even = np.maximum.accumulate(np.where(is_even & ~is_beyond, ahead + 1, 0), axis=1)
    # The first note by which they differ, before each note.
    since = np.concatenate((np.zeros((len(room), 1), np.int64), even[:, :-1]), axis=1)
    is_over = is_beyond
    for step in (query.step[here], text.step[there]):
        is_over = is_over | (abs(step - np.take_along_axis(step, since, axis=1)) > CHORD_STEPS)
    first_over = np.where(is_over.any(axis=1), is_over.argmax(axis=1), len(ahead))
    same = np.concatenate((since, even[:, -1:]), axis=1)[np.arange(len(room)), first_over]
    return same, first_over >= room
