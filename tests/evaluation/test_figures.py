"""The pedal's figures, ranges over pieces, and what lies outside them."""

import numpy as np
import pytest

from perceiver_music.evaluation.figures import (
    figures_of,
    pedal_figures,
    ranges_of,
    unusual_figures,
)
from perceiver_music.music.performance import PEDAL_DTYPE, note_array

SECOND = 1_000_000


def pedal(*moves: tuple[float, int]) -> np.ndarray:
    return np.array([(round(t * SECOND), value) for t, value in moves], dtype=PEDAL_DTYPE)


def test_the_pedal_counts_while_the_music_lasts() -> None:
    """Down from before the music, half-pedal that is up, and down again over its end."""
    moves = pedal((0, 127), (12, 40), (20, 64), (21, 90), (99, 0))
    found = pedal_figures(moves, 10 * SECOND, 40 * SECOND)
    assert found["pedal_share"] == pytest.approx((2 + 20) / 30)
    assert found["pedal_presses_per_minute"] == pytest.approx(2.0)
    assert pedal_figures(pedal(), 0, SECOND) == {"pedal_share": 0, "pedal_presses_per_minute": 0}


def test_ranges_are_over_those_who_know() -> None:
    notes = [
        note_array(np.arange(n) * SECOND, np.arange(n) * SECOND + 9, [60] * n, [40 + n] * n)
        for n in (2, 3, 4)
    ]
    pieces = [figures_of(notes[0]), figures_of(notes[1], pedal((0, 127))), figures_of(notes[2])]
    ranges = ranges_of(pieces)
    assert ranges["velocity_mean"] == pytest.approx([42.1, 43, 43.9])
    assert ranges["pedal_share"] == pytest.approx([1, 1, 1])
    assert len(ranges["pitch_classes"]) == 12
    assert ranges["pitch_classes"][0] == [1, 1, 1]
    assert "key" not in ranges
    assert ranges_of([]) == {}
    loud = figures_of(notes[1])
    loud["velocity_mean"] = 100.0
    assert unusual_figures(loud, {**ranges, "of the future": [0, 1, 2]}) == ["velocity_mean"]
