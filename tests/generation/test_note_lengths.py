"""Lengths of notes, as they are asked for."""

import pytest

from perceiver_music.generation.note_lengths import NoteLengths
from perceiver_music.tokenizer import vocabulary as v


def notes(*lengths: int) -> NoteLengths:
    tokens = [v.BOS]
    for length in lengths:
        tokens += [v.NOTE_ON + 60, v.TIME_SHIFT + length - 1, v.NOTE_OFF + 60]
    return NoteLengths(tokens)


def test_so_many_notes_are_not_longer() -> None:
    lengths = notes(*[10] * 10, *[40] * 10)
    assert (lengths.quantile_steps(0.05), lengths.quantile_steps(0.95)) == (10, 40)


@pytest.mark.parametrize(
    ("steps", "share"), [(0, 0.0), (10, 0.0), (11, 0.25), (40, 0.25), (41, 1.0)]
)
def test_what_is_as_long_is_not_shorter(steps: int, share: float) -> None:
    assert notes(10, 40, 40, 40).share_shorter(steps) == share


def test_keys_are_told_by_when_they_were_struck() -> None:
    lengths = NoteLengths([v.NOTE_ON + 60, v.TIME_SHIFT + 9, v.NOTE_ON + 64, v.TIME_SHIFT + 4])
    assert lengths.step == 15
    assert (lengths.struck_before(10), lengths.struck_after(9)) == ([60], [64])
    assert lengths.struck_after(10) == []
