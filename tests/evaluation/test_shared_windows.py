"""Where two texts meet: windows of the same notes, found whatever the order and the key."""

import numpy as np
import pytest

from perceiver_music.evaluation import shared_windows
from perceiver_music.evaluation.note_text import NoteText
from perceiver_music.evaluation.shared_windows import WindowTable
from perceiver_music.music.performance import note_array


def text_of(*pieces: list[int]) -> NoteText:
    return NoteText.of(
        note_array(
            300_000 * np.arange(len(pitch)),
            300_000 * np.arange(len(pitch)) + 9,
            np.array(pitch),
            np.full(len(pitch), 64),
        )
        for pitch in pieces
    )


def met(query: NoteText, text: NoteText, width: int, ready: int) -> list[tuple[int, int, int, int]]:
    meetings = WindowTable(text, ready).meetings(query, width)
    columns = (meetings.query, meetings.text, meetings.shift, meetings.promise)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("ready", [4, 7])
def test_windows_in_another_order_and_key(ready: int) -> None:
    """The last one begins with another note."""
    query = text_of([50, 64, 62, 67, 71, 30])
    text = text_of([1, 2], [20, 120, 60, 63, 58, 67, 100], [60, 58, 63, 67], [63, 60, 58, 67])
    assert met(query, text, 4, ready) == [(1, 4, 4, 4), (1, 9, 4, 4)]


def test_of_windows_that_follow_one_another_the_first_is_given() -> None:
    query = text_of([40, 44, 51, 60, 62, 67, 20])
    text = text_of([99, 45, 49, 56, 65, 67, 72, 99])
    assert met(query, text, 3, 3) == [(0, 1, -5, 6)]


def test_windows_do_not_reach_over_the_end_of_a_piece() -> None:
    query = text_of([60, 61, 65], [70, 72])
    assert met(query, text_of([60, 61], [65, 70, 72]), 3, 3) == []
    assert met(query, text_of([0], [60, 61, 65, 70]), 3, 3) == [(0, 1, 0, 3)]


def test_texts_shorter_than_a_window_meet_nowhere() -> None:
    assert met(text_of([60]), text_of([60, 61, 62]), 2, 2) == []
    assert met(text_of([60, 61, 62]), text_of([60]), 2, 2) == []
    assert met(text_of([]), text_of([60, 61]), 2, 5) == []


def test_what_is_everywhere_is_followed_from_where_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figure = [60, 62, 65] * 40
    query, text = text_of([*figure, 90]), text_of([30, *figure, 20])
    assert len(met(query, text, 4, 4)) > 70
    monkeypatch.setattr(shared_windows, "MOST_PAIRS_IN_ALL", 100)
    found = met(query, text, 4, 4)
    assert len(found) < 10
    assert (0, 1, 0, 120) in found


def test_a_trill_meets_nothing() -> None:
    trill = [60, 62] * 40
    query, text = text_of([*trill, 90]), text_of([30, *trill, 20])
    assert met(query, text, 5, 5) == []
    assert met(query, text, 2, 2) != []
