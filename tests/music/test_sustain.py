"""The pedal's rules, one by one."""

import numpy as np
import pytest

from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.music.sustain import apply_sustain


def ends(
    rows: list[tuple[int, int, int]], pedal: list[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    notes = np.array([(*row, 64) for row in rows], dtype=NOTE_DTYPE)
    music = Performance(notes=notes, pedal=np.array(pedal, dtype=PEDAL_DTYPE))
    return [tuple(note)[:3] for note in apply_sustain(music).notes.tolist()]


@pytest.mark.parametrize(
    ("pedal", "end"),
    [
        ([], 10),
        ([(5, 127), (30, 0)], 30),
        ([(5, 64), (30, 63)], 30),
        ([(5, 63)], 10),
        ([(10, 127), (30, 0)], 30),  # pressed as the key rises: held
        ([(5, 127), (10, 0)], 10),
        ([(11, 127), (30, 0)], 10),
        ([(0, 127), (5, 0), (8, 127), (20, 0)], 20),
        ([(0, 127), (40, 100)], 40),  # never up: until the last event
    ],
)
def test_a_note_sounds_until_the_pedal_rises(pedal: list[tuple[int, int]], end: int) -> None:
    assert ends([(0, 10, 60)], pedal) == [(0, end, 60)]


def test_a_restrike_under_the_pedal_ends_the_note_before() -> None:
    rows = [(0, 10, 60), (20, 25, 60), (20, 25, 61)]
    found = ends(rows, [(0, 127), (50, 0)])
    assert found == [(0, 20, 60), (20, 50, 60), (20, 50, 61)]


def test_of_two_that_start_together_one_is_left() -> None:
    assert ends([(0, 10, 60), (0, 12, 60)], [(0, 127), (50, 0)]) == [(0, 50, 60)]


def test_no_pedal_no_change() -> None:
    assert ends([(0, 10, 60), (5, 5, 61)], []) == [(0, 10, 60), (5, 5, 61)]
