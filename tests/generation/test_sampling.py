"""Temperature, cuts and the draw, on distributions that a person can check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceiver_music.errors import NonFiniteError, UsageError
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.generation.sampling import beside, choose, probabilities, variation_rng
from perceiver_music.tokenizer import vocabulary as v

LOGITS = np.log([0.5, 0.25, 0.15, 0.1])
ALL = np.ones(4, dtype=np.bool_)


def chosen(**options: object) -> list[float]:
    values = {"temperature": 1.0, "top_p": None, **options}
    return probabilities(LOGITS, ALL, SamplingOptions(**values)).round(6).tolist()


def test_each_cut() -> None:
    assert chosen() == [0.5, 0.25, 0.15, 0.1]
    assert chosen(top_k=1) == [1, 0, 0, 0]
    assert chosen(top_k=2) == [0.666667, 0.333333, 0, 0]
    assert chosen(top_p=0.5) == [1, 0, 0, 0]
    assert chosen(top_p=0.51) == [0.666667, 0.333333, 0, 0]
    assert chosen(min_p=0.5) == [0.666667, 0.333333, 0, 0]
    assert chosen(min_p=0.51) == [1, 0, 0, 0]
    assert chosen(top_p=0.76, min_p=0.4) == [0.666667, 0.333333, 0, 0]


def test_temperature_comes_before_the_cuts() -> None:
    assert chosen(temperature=0.0) == [1, 0, 0, 0]
    cold = chosen(temperature=0.5)
    assert cold == pytest.approx([0.724638, 0.181159, 0.065217, 0.028986], abs=1e-5)
    # At half the temperature the first event alone makes up seven tenths.
    assert chosen(temperature=0.5, top_p=0.7) == [1, 0, 0, 0]
    assert chosen(temperature=1.0, top_p=0.7) == [0.666667, 0.333333, 0, 0]


def test_what_is_not_allowed_has_no_chance() -> None:
    allowed = np.array([False, True, False, True])
    options = SamplingOptions(top_p=None)
    expected = [0, 0.714286, 0, 0.285714]
    assert probabilities(LOGITS, allowed, options).round(6).tolist() == expected
    greedy = SamplingOptions(temperature=0.0)
    assert probabilities(LOGITS, allowed, greedy).tolist() == [0, 1, 0, 0]


def test_longer_times_than_are_allowed_count_for_the_longest() -> None:
    likely = np.full(v.VOCABULARY_SIZE, 1e-9)
    likely[v.NOTE_ON + 60] = 0.2
    likely[v.TIME_SHIFT + np.array([4, 9, 30, 99])] = (0.1, 0.2, 0.3, 0.2)
    allowed = np.ones(len(likely), dtype=np.bool_)
    allowed[v.TIME_SHIFT + 10 : v.VELOCITY] = False
    options = SamplingOptions(top_p=None)
    found = probabilities(np.log(likely), allowed, options)
    expected = {v.NOTE_ON + 60: 0.2, v.TIME_SHIFT + 4: 0.1, v.TIME_SHIFT + 9: 0.7}
    for token, share in expected.items():
        assert found[token] == pytest.approx(share, abs=1e-6)
    assert found.sum() == pytest.approx(1.0)
    # Temperature changes each of them before they come together.
    cold = probabilities(np.log(likely), allowed, SamplingOptions(temperature=0.5, top_p=None))
    squares = {v.NOTE_ON + 60: 0.04, v.TIME_SHIFT + 4: 0.01, v.TIME_SHIFT + 9: 0.17}
    for token, square in squares.items():
        assert cold[token] == pytest.approx(square / 0.22, abs=1e-6)


def test_where_no_time_is_allowed_none_is_counted() -> None:
    logits = np.zeros(v.VOCABULARY_SIZE)
    allowed = np.zeros(len(logits), dtype=np.bool_)
    allowed[[v.NOTE_ON + 60, v.NOTE_ON + 62]] = True
    found = probabilities(logits, allowed, SamplingOptions(top_p=None))
    assert found[allowed].tolist() == [0.5, 0.5]


@pytest.mark.filterwarnings("error")
def test_all_of_it_may_be_later_than_is_allowed() -> None:
    logits = np.full(v.VOCABULARY_SIZE, -2000.0)
    logits[v.TIME_SHIFT + 50] = 0.0
    allowed = np.ones(len(logits), dtype=np.bool_)
    allowed[v.TIME_SHIFT + 10 : v.VELOCITY] = False
    found = probabilities(logits, allowed, SamplingOptions(temperature=0.1))
    assert found[v.TIME_SHIFT + 9] == 1.0


def test_draws_follow_the_distribution() -> None:
    rng = variation_rng(5, 1)
    logits, allowed = np.log([0.5, 0.4, 0.3, 0.2]), np.array([True, False, True, True])
    options = SamplingOptions(top_p=None)
    drawn = [choose(logits, allowed, options, rng) for _ in range(4_000)]
    counts = np.bincount(drawn, minlength=4) / 4_000
    assert counts[1] == 0
    assert counts == pytest.approx(probabilities(logits, allowed, options), abs=0.03)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 2}, [0, 2]),
        ({"top_k": 1}, [2]),
        ({"top_p": 0.7}, [0, 2, 4]),
        ({"min_p": 0.4}, [0, 2, 4, 5]),
    ],
)
def test_ties_go_to_the_lower_id(options: dict[str, float], kept: list[int]) -> None:
    logits = np.log([0.2, 0.05, 0.3, 0.05, 0.2, 0.2])
    found = probabilities(
        logits, np.ones(6, dtype=np.bool_), SamplingOptions(**{"top_p": None, **options})
    )
    assert np.flatnonzero(found).tolist() == kept


@given(
    st.lists(st.integers(-6, 6), min_size=1, max_size=40),
    st.sampled_from([None, 0.3, 0.9, 0.99, 1.0]),
    st.sampled_from([None, 0.01, 0.5]),
    st.sampled_from([None, 1, 3, 100]),
)
def test_cuts_are_those_of_a_list_in_order(
    scores: list[int], top_p: float | None, min_p: float | None, top_k: int | None
) -> None:
    logits = np.array(scores, dtype=np.float64)
    options = SamplingOptions(top_p=top_p, min_p=min_p, top_k=top_k)
    found = probabilities(logits, np.ones(len(scores), dtype=np.bool_), options)
    weights = np.exp(logits - logits.max())
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    if top_p is not None:
        sums = np.cumsum(weights[order])
        order = order[: 1 + int(np.searchsorted(sums, top_p * sums[-1]))]
    if min_p is not None:
        order = [place for place in order if weights[place] >= min_p * weights.max()]
    assert np.flatnonzero(found).tolist() == sorted(order[:top_k])


def test_variations_differ_and_repeat() -> None:
    first = variation_rng(5, 1).random(3).tolist()
    assert variation_rng(5, 1).random(3).tolist() == first
    assert variation_rng(5, 2).random(3).tolist() != first
    assert variation_rng(6, 1).random(3).tolist() != first


def test_predictions_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(NonFiniteError):
        probabilities(np.array([0.0, np.nan]), np.ones(2, dtype=np.bool_), SamplingOptions())


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
    ],
)
def test_options_out_of_range_are_usage_errors(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SamplingOptions(**options)


@pytest.mark.parametrize(
    ("amount", "unit"), [(0.0, "seconds"), (1.5, "notes"), (float("inf"), "seconds"), (1, "pages")]
)
def test_lengths_that_are_none_are_usage_errors(amount: float, unit: str) -> None:
    with pytest.raises(UsageError):
        LengthOption(amount=amount, unit=unit)


@pytest.mark.filterwarnings("error")
def test_next_to_no_temperature_is_none() -> None:
    logits = np.array([1.0, 3.0, 2.0])
    options = SamplingOptions(temperature=1e-320, top_p=None)
    found = probabilities(logits, np.ones(3, dtype=np.bool_), options)
    assert found.tolist() == [0.0, 1.0, 0.0]


def test_random_numbers_beside_others_leave_them_where_they_stand() -> None:
    rng = variation_rng(5, 1)
    others = beside(rng).random(3).tolist()
    assert beside(rng).random(3).tolist() == others
    assert rng.random(3).tolist() == variation_rng(5, 1).random(3).tolist()
    assert others != variation_rng(5, 1).random(3).tolist()
