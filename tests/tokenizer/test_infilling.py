"""A piece taken apart at two moments: what each part may know of the others."""

import numpy as np
import pytest

from perceiver_music.music.performance import note_array
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import (
    MIDDLE,
    SUFFIX,
    length_ids,
    prompt_ids,
    take_apart,
)
from perceiver_music.tokenizer.performance_events import decode, encode_notes, quantize


def random_ids(seed: int, num_notes: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 20_000_000, num_notes))
    pitch = rng.permutation(np.repeat(np.arange(40, 70), 2))[:num_notes]
    end = start + rng.integers(20_000, 3_000_000, num_notes)
    return encode_notes(note_array(start, end, pitch, rng.integers(1, 128, num_notes)))


def steps_of(ids: np.ndarray) -> list[tuple[int, int, int, int]]:
    notes = decode(ids).notes
    start, end = quantize(notes)
    rows = zip(start, end, notes["pitch"], notes["velocity"], strict=True)
    return sorted(tuple(int(value) for value in row) for row in rows)


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_hold_the_notes_of_the_piece(seed: int) -> None:
    ids = random_ids(seed)
    first, last = 400 + 10 * seed, 1_000 + 7 * seed
    gap = take_apart(ids, first, last)
    whole = steps_of(ids)
    until_last = [(s, min(e, last), p, vel) for s, e, p, vel in whole if s < last]
    assert steps_of(np.concatenate((gap.before, gap.middle))) == sorted(until_last)
    later = [(s - last, e - last, p, vel) for s, e, p, vel in whole if s >= last]
    assert steps_of(gap.after) == sorted(later)
    assert gap.num_steps == last - first


@pytest.mark.parametrize("seed", range(5))
def test_what_follows_tells_nothing_of_the_gap(seed: int) -> None:
    """Whatever notes begin before the gap's end, `after` is the same."""
    ids = random_ids(seed)
    notes = decode(ids).notes
    starts, _ = quantize(notes)
    without = encode_notes(notes[(starts < 500) | (starts >= 1_000)])
    expected = take_apart(ids, 500, 1_000).after
    np.testing.assert_array_equal(take_apart(without, 500, 1_000).after, expected)


def test_before_is_the_piece_itself_up_to_the_gap() -> None:
    ids = random_ids(1)
    gap = take_apart(ids, 700, 900)
    shifts = [v.describe(int(i))[1] for i in gap.before if v.TIME_SHIFT <= i < v.VELOCITY]
    assert sum(shifts) == 700
    num_events = len(gap.before) - 1  # the last shift may be cut short
    np.testing.assert_array_equal(gap.before[:num_events], ids[:num_events])


def test_the_middle_lasts_as_long_as_the_gap() -> None:
    gap = take_apart(random_ids(2), 333, 777)
    shifts = [v.describe(int(i))[1] for i in gap.middle if v.TIME_SHIFT <= i < v.VELOCITY]
    assert sum(shifts) == 444


@pytest.mark.parametrize("num_steps", [1, 99, 100, 101, 250, 1000])
def test_a_length_ends_with_its_only_shorter_shift(num_steps: int) -> None:
    values = [v.describe(int(i))[1] for i in length_ids(num_steps)]
    assert values[-1] < 100
    assert all(value == 100 for value in values[:-1])
    assert sum(values) == num_steps + (num_steps % 100 == 0)


def test_a_gap_of_silence_at_the_end_of_the_piece() -> None:
    ids = encode_notes(note_array([0], [500_000], [60], [64]))
    gap = take_apart(ids, 100, 200)
    np.testing.assert_array_equal(gap.middle, [v.token_id("TIME_SHIFT", 100)])
    assert len(gap.after) == 0
    prompt = prompt_ids(gap.before, gap.after, gap.num_steps).tolist()
    assert prompt[len(gap.before)] == SUFFIX
    assert prompt[len(gap.before) + 1] == MIDDLE


@pytest.mark.parametrize("steps", [(5, 5), (7, 3), (-1, 4)])
def test_edges_out_of_order_are_refused(steps: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="gap"):
        take_apart(random_ids(0), *steps)
