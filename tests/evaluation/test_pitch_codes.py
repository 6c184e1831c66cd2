"""Sums of codes tell which pitches there are, and nothing else."""

import itertools

import numpy as np

from perceiver_music.evaluation.pitch_codes import codes_of, lowering, transposing


def test_different_pitches_have_different_sums() -> None:
    chords = np.array(
        list(itertools.combinations_with_replacement(range(0, 128, 5), 3)), dtype=np.uint8
    )
    sums = codes_of(chords).sum(axis=1)
    assert len(np.unique(sums)) == len(chords)


def test_order_does_not_matter_and_transposing_is_a_factor() -> None:
    rng = np.random.default_rng(0)
    pitch = rng.integers(30, 90, 10).astype(np.uint8)
    total = codes_of(pitch).sum(keepdims=True)
    assert codes_of(rng.permutation(pitch)).sum() == total
    for shift in (-30, -1, 0, 38):
        moved = (pitch.astype(int) + shift).astype(np.uint8)
        assert codes_of(moved).sum() == total * transposing(np.array([shift]))
    down = pitch.min(keepdims=True)
    assert codes_of(pitch - down).sum() == total * lowering(down)
