"""Where new music begins after a primer."""

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.generation.primer import choose_window
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array

SECOND = 1_000_000


def chord_under_pedal(*, lifted_at: float) -> Performance:
    """A chord whose keys come up after two seconds, and the pedal at some other moment."""
    notes = note_array([0, 0], [2 * SECOND] * 2, [48, 60], [64, 64])
    moves = [(0, 127), (round(lifted_at * SECOND), 0)]
    return Performance(notes, np.array(moves, dtype=PEDAL_DTYPE))


@pytest.mark.parametrize(("lifted_at", "begins"), [(1.0, 2.0), (5.0, 5.0), (12.0, 12.0)])
def test_a_last_chord_may_ring(lifted_at: float, begins: float) -> None:
    assert choose_window(chord_under_pedal(lifted_at=lifted_at)).to_us == begins * SECOND


def test_new_music_does_not_wait_for_a_pedal_that_holds_nothing_heard() -> None:
    forgotten = chord_under_pedal(lifted_at=40.0)
    assert choose_window(forgotten).to_us == 12 * SECOND
    last = choose_window(forgotten, last_seconds=11.0)
    assert (last.from_us, last.to_us) == (1 * SECOND, 12 * SECOND)
    assert choose_window(forgotten, to_seconds=30.0).to_us == 30 * SECOND
    assert choose_window(forgotten, to_seconds=50.0).to_us == 40 * SECOND


def test_who_begins_under_a_forgotten_pedal_is_told_where_new_music_would() -> None:
    forgotten = chord_under_pedal(lifted_at=60.0)
    with pytest.raises(UsageError, match="--from 30: no music") as refused:
        choose_window(forgotten, from_seconds=30.0)
    hint = refused.value.hint or ""
    assert "at 12.0 s" in hint
    assert "--to as well, up to 60.0 s" in hint
    window = choose_window(forgotten, from_seconds=30.0, to_seconds=60.0)
    assert (window.from_us, window.to_us) == (30 * SECOND, 60 * SECOND)
    with pytest.raises(UsageError) as refused:
        choose_window(forgotten, from_seconds=30.0, to_seconds=20.0)
    assert "60.0 s long" in (refused.value.hint or "")


def test_music_that_takes_no_time_is_refused_for_that() -> None:
    notes = note_array([0, 0], [0, 0], [48, 60], [64, 64])
    with pytest.raises(InvalidInputError, match="takes no time"):
        choose_window(Performance(notes))
