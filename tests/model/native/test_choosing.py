"""The native draw is that of numpy, whatever the cuts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceiver_music.errors import NonFiniteError
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.sampling import _native_options, choose, choose_plainly
from perceiver_music.model.native.choosing import choose as native_choose
from perceiver_music.model.native.library import load_library
from perceiver_music.tokenizer import vocabulary as v

needs_library = pytest.mark.skipif(load_library() is None, reason="the library is not compiled")
SIZE = v.VOCABULARY_SIZE


def drawn(logits: np.ndarray, allowed: np.ndarray, options: SamplingOptions, random: float) -> int:
    found = native_choose(logits, allowed, _native_options(options), random)
    assert found is not None
    return found


@needs_library
@given(
    st.integers(0, 1 << 30),
    st.sampled_from([0.0, 0.3, 1.0, 2.5, 1e-300]),
    st.sampled_from([None, 1e-9, 0.5, 0.99, 1.0]),
    st.sampled_from([None, 1e-3, 0.5, 1.0]),
    st.sampled_from([None, 1, 7, 1 << 40]),
    st.sampled_from([0.02, 0.5, 1.0]),
    st.booleans(),
)
def test_it_draws_what_numpy_draws(
    seed: int,
    temperature: float,
    top_p: float | None,
    min_p: float | None,
    top_k: int | None,
    share: float,
    has_ties: bool,
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=SIZE).astype(np.float32) * 4
    if has_ties:
        logits = logits.round()
    allowed = rng.random(SIZE) < share
    allowed[rng.integers(SIZE)] = True
    options = SamplingOptions(temperature=temperature, top_p=top_p, min_p=min_p, top_k=top_k)
    for random in (0.0, *rng.random(4), 1.0 - 2.0**-53):
        expected = choose_plainly(logits, allowed, options, float(random))
        assert drawn(logits, allowed, options, float(random)) == expected


@needs_library
def test_longer_times_go_to_the_longest_that_is_allowed() -> None:
    logits = np.full(SIZE, -20.0, dtype=np.float32)
    logits[v.TIME_SHIFT + 50 : v.TIME_SHIFT + 60] = 0.0
    allowed = np.ones(SIZE, dtype=np.bool_)
    allowed[v.TIME_SHIFT + 10 : v.TIME_SHIFT + v.MAX_SHIFT_STEPS] = False
    options = SamplingOptions()
    assert drawn(logits, allowed, options, 0.5) == v.TIME_SHIFT + 9


def test_logits_that_are_no_numbers_are_refused() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)
    logits[3] = np.inf
    with pytest.raises(NonFiniteError):
        choose(logits, np.ones(SIZE, bool), SamplingOptions(), np.random.default_rng(0))


def test_nothing_is_read_beyond_the_logits() -> None:
    logits, how = np.zeros(SIZE, dtype=np.float32), _native_options(SamplingOptions())
    with pytest.raises(ValueError, match="ids"):
        native_choose(logits, np.ones(SIZE - 1, dtype=np.bool_), how, 0.5)
    few = np.zeros(20, dtype=np.float32)  # without all the times that it draws together
    assert native_choose(few, np.ones(20, dtype=np.bool_), how, 0.5) is None
