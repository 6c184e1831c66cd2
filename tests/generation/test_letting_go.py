"""Keys that are held for long are let go sooner; all else is left alone."""

import numpy as np
import pytest

from perceiver_music.generation.grammar import MAX_HELD_STEPS
from perceiver_music.generation.growth import Growth
from perceiver_music.generation.letting_go import LettingGo
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.note_lengths import OLDEST, YOUNGEST
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import shift_ids

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)


def primer(*lengths: int) -> list[int]:
    """Notes one after the other, each so many steps long."""
    tokens = [v.BOS]
    for length in lengths:
        tokens += [v.NOTE_ON + 60, *shift_ids(length).tolist(), v.NOTE_OFF + 60]
    return tokens


NOTHING = LettingGo([v.BOS])


@pytest.mark.parametrize("onsets", [{}, {60: 950}, {60: 1000 - YOUNGEST, 64: 1000}])
def test_keys_struck_lately_are_left_alone(onsets: dict[int, int]) -> None:
    assert NOTHING.adjusted(FLAT, onsets, 1000) is FLAT


def test_the_older_a_key_the_likelier_is_its_release() -> None:
    ages = (YOUNGEST, 150, 300, MAX_HELD_STEPS)
    onsets = {60 + i: 1000 - age for i, age in enumerate(ages)}
    bent = NOTHING.adjusted(FLAT, onsets, 1000)
    of_keys = bent[v.NOTE_OFF + 60 : v.NOTE_OFF + 60 + len(ages)]
    assert of_keys[0] == 0
    assert (np.diff(of_keys) > 0).all()
    assert np.count_nonzero(bent) == len(ages) - 1
    assert not FLAT.any()


def test_keys_of_the_primer_and_keys_past_their_time_are_no_trouble() -> None:
    assert NOTHING.adjusted(FLAT, {60: -1}, 500) is FLAT
    late = NOTHING.adjusted(FLAT, {60: 0}, MAX_HELD_STEPS + 50)
    assert (late == NOTHING.adjusted(FLAT, {60: 0}, MAX_HELD_STEPS)).all()


@pytest.mark.parametrize(
    ("lengths", "from_steps"),
    [
        ((300,) * 11, YOUNGEST),
        ((300,) * 12, 300),
        ((20,) * 90 + (200,) * 10, YOUNGEST),
        ((20,) * 70 + (200,) * 30, 200),
        ((20,) * 30 + (600,) * 8, OLDEST),
        ((300,) * 20 + (20,) * 400, YOUNGEST),
    ],
)
def test_what_a_primer_holds_is_not_forgotten(lengths: tuple[int, ...], from_steps: int) -> None:
    assert LettingGo(primer(*lengths)).from_steps == from_steps


def seconds_held(*, lets_go: bool) -> float:
    """How long notes last, on average, of a model that forgets keys."""
    growth = Growth(
        Opening(tokens=(v.BOS,), sounding={}, velocity_bin=None),
        limits=Limits(num_events=4000),
        sampling=SamplingOptions(let_go=lets_go),
        rng=variation_rng(1, 1),
    )
    logits = np.full(v.VOCABULARY_SIZE, -9.0)
    logits[v.NOTE_ON : v.NOTE_OFF] = -6.0
    logits[v.NOTE_OFF : v.TIME_SHIFT] = -5.0
    logits[v.TIME_SHIFT + 9 : v.TIME_SHIFT + 20] = -2.0
    onset: dict[int, int] = {}
    held = []
    while not growth.is_long_enough:
        token = growth.choose(logits)
        growth.take(token)
        if v.NOTE_ON <= token < v.NOTE_OFF:
            onset[token] = growth.music.step
        elif v.NOTE_OFF <= token < v.TIME_SHIFT:
            held.append(growth.music.step - onset[token - v.NOTE_OFF + v.NOTE_ON])
    return float(np.mean(held)) / v.STEPS_PER_SECOND


def test_music_of_a_model_that_forgets_keys_blurs_less() -> None:
    assert seconds_held(lets_go=True) < 0.9 * seconds_held(lets_go=False)
