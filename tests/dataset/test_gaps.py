"""A window that is a gap fits its context, however dense the music in the gap is."""

import numpy as np
import pytest

from perceiver_music.dataset.gaps import gap_window
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX, length_ids
from tests.conftest import made_up_piece


def dense_piece(num_notes: int = 2000) -> np.ndarray:
    """Notes of 10 ms, end to end: 300 events a second."""
    pitches = 60 + np.arange(num_notes) % 12
    shift = np.full(num_notes, v.TIME_SHIFT)
    events = np.stack((v.NOTE_ON + pitches, shift, v.NOTE_OFF + pitches), axis=1)
    return with_bos_eos(events.ravel())


@pytest.mark.parametrize(("context", "latents"), [(1024, 512), (256, 256), (64, 64), (64, 2)])
def test_a_gap_longer_than_the_context_is_cut_to_fit(context: int, latents: int) -> None:
    sequence = dense_piece()
    rng = np.random.default_rng(1)
    seconds = (0.05, context / 300)  # as much as the context holds of such music
    found = 0
    for _ in range(200):
        last = int(rng.integers(1, len(sequence)))
        gap = gap_window(sequence, last, rng, context=context, latents=latents, seconds=seconds)
        if gap is None:
            continue
        found += 1
        window, may_score = gap
        assert may_score.shape == window.shape
        assert len(window) <= context + 1
        assert may_score[-1]
        assert not may_score[0]
    assert found > 20


def sparse_piece(num_notes: int = 60) -> np.ndarray:
    """A note each ten seconds or so, which takes far more tokens of time than of notes."""
    longest = v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1
    note = [v.NOTE_ON + 60, longest, v.NOTE_OFF + 60, *[longest] * 9]
    return with_bos_eos(np.array(note * num_notes))


@pytest.mark.parametrize("context", [64, 128, 256])
def test_a_gap_whose_length_alone_fills_the_context_is_none(context: int) -> None:
    sequence = sparse_piece()
    rng = np.random.default_rng(1)
    sizes = []
    for last in range(1, len(sequence)):
        gap = gap_window(
            sequence, last, rng, context=context, latents=context // 2, seconds=(30.0, 120.0)
        )
        sizes += [] if gap is None else [len(gap[0])]
    assert 0 < len(sizes) < len(sequence) - 1
    assert max(sizes) <= context + 1


def test_the_past_and_the_middle_are_scored_and_nothing_that_the_gap_decides() -> None:
    sequence = with_bos_eos(made_up_piece("train", 1, 400).ids)
    rng = np.random.default_rng(2)
    seen = 0
    for last in range(300, len(sequence), 40):
        gap = gap_window(sequence, last, rng, context=512, latents=256, seconds=(1.0, 5.0))
        if gap is None:
            continue
        seen += 1
        window, may_score = gap
        suffix, middle = (int(np.flatnonzero(window == mark)[0]) for mark in (SUFFIX, MIDDLE))
        length = len(length_ids(take_length(window[middle + 1 :])))
        assert may_score[middle + 1 + length :].all()
        assert not may_score[suffix : middle + 1 + length].any()
        past = np.flatnonzero(may_score[:suffix])
        assert past[0] == 1
        unscored = window[past[-1] + 1 : suffix]
        assert ((unscored >= v.TIME_SHIFT) & (unscored < v.VELOCITY)).all()
        assert not v.TIME_SHIFT <= window[past[-1]] < v.VELOCITY
    assert seen > 10


def take_length(ids: np.ndarray) -> int:
    """Steps that TIME_SHIFTs say, up to the first that is not the longest."""
    steps = 0
    for token in ids:
        steps += int(token) - v.TIME_SHIFT + 1
        if token != v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1:
            break
    return steps
