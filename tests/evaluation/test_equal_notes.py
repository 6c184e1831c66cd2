"""How far texts are alike: the same as by a plain walk from note to note."""

from collections import Counter

import numpy as np
import pytest

from perceiver_music.evaluation import equal_notes as module
from perceiver_music.evaluation.equal_notes import CHORD_STEPS, equal_notes
from perceiver_music.evaluation.note_text import NoteText
from perceiver_music.evaluation.shared_windows import Meetings
from perceiver_music.music.performance import note_array

Row = tuple[int, int]


def text_of(rng: np.random.Generator, sizes: list[int]) -> NoteText:
    """Few pitches, in chords and out of them, so that all kinds of order come up."""
    pieces = []
    for size in sizes:
        start = np.cumsum(rng.choice([0, 10_000, 20_000, 300_000], size, p=[0.2, 0.3, 0.2, 0.3]))
        pitch = rng.integers(60, 62, size)
        pieces.append(note_array(start, start + 1, pitch, np.full(size, 64)))
    return NoteText.of(pieces)


def rows_of(text: NoteText, place: int, direction: int) -> list[Row]:
    piece = int(text.piece_of(np.array([place]))[0])
    if direction > 0:
        places = list(range(place, int(text.first_note[piece + 1])))
    else:
        places = list(range(place - 1, int(text.first_note[piece]) - 1, -1))
    return [(int(text.pitch[i]), int(text.step[i])) for i in places]


def walked(query: list[Row], text: list[Row], shift: int) -> int:
    same = 0
    surplus: Counter[int] = Counter()
    for number, (here, there) in enumerate(zip(query, text, strict=False), start=1):
        apart = max(abs(here[1] - query[same][1]), abs(there[1] - text[same][1]))
        if apart > CHORD_STEPS:
            break
        surplus[here[0]] += 1
        surplus[there[0] + shift] -= 1
        if not any(surplus.values()):
            same = number
    return same


@pytest.mark.parametrize("shift", [0, 1])
def test_as_by_a_walk(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_NOTES", 2)
    monkeypatch.setattr(module, "_TIMES_MORE", 2)
    monkeypatch.setattr(module, "_CELLS", 64)
    rng = np.random.default_rng(shift)
    query, text = text_of(rng, [40, 1, 30]), text_of(rng, [50, 30, 1])
    places = np.arange(len(query)).repeat(len(text))
    meetings = Meetings(
        query=places,
        text=np.tile(np.arange(len(text)), len(query)),
        shift=np.full(len(places), shift),
        promise=places,
    )
    before, after = equal_notes(query, text, meetings)
    for direction, found in ((-1, before), (1, after)):
        expected = [
            walked(rows_of(query, at, direction), rows_of(text, place, direction), shift)
            for at in range(len(query))
            for place in range(len(text))
        ]
        assert found.tolist() == expected
        assert max(expected) > 3


def test_what_is_alike_is_followed_to_the_end() -> None:
    rng = np.random.default_rng(1)
    text = text_of(rng, [3_000])
    meetings = Meetings(
        query=np.array([0, 1_000, 2_999]),
        text=np.array([0, 1_000, 2_999]),
        shift=np.zeros(3, dtype=np.int64),
        promise=np.ones(3, dtype=np.int64),
    )
    before, after = equal_notes(text, text, meetings)
    assert before.tolist() == [0, 1_000, 2_999]
    assert after.tolist() == [3_000, 2_000, 1]
