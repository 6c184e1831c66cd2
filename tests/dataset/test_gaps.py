"""A window that is a gap fits its context, however dense the music in the gap is."""

import numpy as np
import pytest

from perceiver_music.dataset.gaps import gap_window
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.tokenizer import vocabulary as v


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
        window, num_scored = gap
        assert num_scored < len(window) <= context + 1
        assert 1 <= num_scored <= latents
    assert found > 20
