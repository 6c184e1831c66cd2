"""Pieces as one text: order, whose note is whose."""

import numpy as np

from perceiver_music.evaluation.note_text import NoteText
from perceiver_music.music.performance import note_array


def test_notes_of_one_step_stand_from_the_lowest_up() -> None:
    """14,999 and 5,000 microseconds are both step 1."""
    notes = note_array([5_000, 14_999, 15_000], [9**6] * 3, [70, 60, 50], [64] * 3)
    text = NoteText.of([notes])
    assert text.pitch.tolist() == [60, 70, 50]
    assert text.step.tolist() == [1, 1, 2]


def test_each_note_has_its_piece() -> None:
    one = note_array([0, 20_000], [1, 20_001], [0, 127], [64] * 2)
    empty = one[:0]
    text = NoteText.of([empty, one, empty, one[:1]])
    assert text.num_pieces == 4
    assert text.piece_of(np.array([0, 1, 2])).tolist() == [1, 1, 3]
    assert len(NoteText.of([])) == 0
