"""New music far from the primer's pace is led back; all else is left alone."""

import numpy as np
import pytest

from perceiver_music.generation.pace import LONGER_WAIT, SHORTEST_WAIT_STEPS, PaceKeeper
from perceiver_music.tokenizer import vocabulary as v

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)


def playing(notes_per_second: int, seconds: int) -> list[int]:
    """An even scale."""
    shift = v.TIME_SHIFT + v.STEPS_PER_SECOND // notes_per_second - 1
    return [
        token
        for i in range(notes_per_second * seconds)
        for token in (v.NOTE_ON + 40 + i % 24, shift, v.NOTE_OFF + 40 + i % 24)
    ]


def after(primer: list[int], music: list[int]) -> np.ndarray:
    keeper = PaceKeeper([v.BOS, *primer])
    for token in music:
        keeper.take(token)
    return keeper.adjusted(FLAT)


@pytest.mark.parametrize("rate", [4, 5, 2, 10])
def test_music_within_the_band_is_left_alone(rate: int) -> None:
    primer = playing(rate, 20)
    music = playing(round(rate * 1.25), 15) if rate in (4,) else playing(rate, 15)
    assert after(primer, music) is FLAT


def test_the_further_off_the_less_likely_are_onsets() -> None:
    bends = [after(playing(2, 20), playing(rate, 12))[v.NOTE_ON + 60] for rate in (2, 5, 10, 20)]
    assert bends[0] == 0
    assert bends[0] > bends[1] > bends[2] > bends[3] >= -3.0


def test_music_that_has_thinned_out_is_filled_again() -> None:
    bent = after(playing(10, 20), playing(1, 15))
    assert (bent[v.NOTE_ON : v.NOTE_OFF] > 0).all()
    times = bent[v.TIME_SHIFT : v.TIME_SHIFT + v.MAX_SHIFT_STEPS]
    assert (np.diff(times) < 0).all()
    assert (bent[v.NOTE_OFF : v.TIME_SHIFT] == 0).all()
    assert (bent[v.VELOCITY :] == 0).all()


@pytest.mark.parametrize("primer", [[], playing(10, 1), playing(1, 8)])
def test_a_short_primer_has_no_pace(primer: list[int]) -> None:
    assert after(primer, playing(20, 20)) is FLAT


def test_the_pace_is_that_of_the_end_of_a_long_primer() -> None:
    primer = playing(20, 60) + playing(2, 60)
    assert after(primer, playing(2, 15)) is FLAT
    assert after(primer, playing(20, 15))[v.NOTE_ON] < 0


def test_the_prediction_itself_is_not_changed() -> None:
    before = FLAT.copy()
    after(playing(2, 20), playing(20, 15))
    assert np.array_equal(before, FLAT)


def test_how_long_a_wait_may_be_is_heard_in_the_primer() -> None:
    assert PaceKeeper([]).longest_wait is None
    assert PaceKeeper([v.NOTE_ON + 60, v.TIME_SHIFT + 99]).longest_wait == SHORTEST_WAIT_STEPS
    assert PaceKeeper(playing(10, 20)).longest_wait == SHORTEST_WAIT_STEPS
    pause = [v.TIME_SHIFT + 99] * 4
    with_pause = PaceKeeper(playing(10, 20) + pause + playing(10, 20))
    assert with_pause.longest_wait == pytest.approx(LONGER_WAIT * 410, abs=1)
    assert PaceKeeper(pause + playing(10, 60)).longest_wait == SHORTEST_WAIT_STEPS


def test_a_burst_beyond_the_busiest_of_the_primer_is_slowed_down_at_once() -> None:
    primer = playing(4, 10) + playing(12, 3) + playing(4, 10)
    assert after(primer, playing(4, 10) + playing(10, 3)) is FLAT
    burst = after(primer, playing(4, 10) + playing(33, 3))
    calm = after(playing(4, 23), playing(4, 10) + playing(33, 3))
    assert calm[v.NOTE_ON] < burst[v.NOTE_ON] < 0
