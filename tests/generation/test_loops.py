"""The guard acts on music that is stuck, and on nothing that was ever played."""

import numpy as np
import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.loops import FRESH_ONSETS, LONGEST_RUN, LoopGuard
from perceiver_music.tokenizer import vocabulary as v

FLAT = np.zeros(v.VOCABULARY_SIZE)


def play(guard: LoopGuard, pitches: list[int], steps: int = 20) -> None:
    for pitch in pitches:
        for token in (v.NOTE_ON + pitch, v.TIME_SHIFT + steps - 1, v.NOTE_OFF + pitch):
            guard.take(token)


@pytest.mark.parametrize("figure", [[60], [60, 62], [60, 64, 67, 72], list(range(50, 60))])
def test_a_figure_without_end_is_led_on(figure: list[int]) -> None:
    guard = LoopGuard()
    play(guard, figure * (60 // len(figure)))
    assert not guard.is_acting
    assert guard.adjusted(FLAT) is FLAT
    play(guard, figure * (200 // len(figure)))
    assert guard.is_acting
    bent = guard.adjusted(FLAT)
    assert all(bent[v.NOTE_ON + pitch] < 0.0 for pitch in figure)
    assert np.count_nonzero(bent) == len(figure)


def test_a_few_keys_in_any_order_are_a_loop_too() -> None:
    guard = LoopGuard()
    play(guard, [60 + int(i) for i in np.random.default_rng(0).integers(0, 3, 200)])
    assert guard.is_acting


def test_a_slow_bell_is_a_loop_before_it_has_struck_a_hundred_times() -> None:
    guard = LoopGuard()
    play(guard, [60] * 40, steps=100)
    assert guard.is_acting


def test_the_longer_it_lasts_the_less_likely_until_the_music_has_moved_on() -> None:
    guard = LoopGuard()
    play(guard, [60, 62, 64, 65] * (LONGEST_RUN // 4 + 2))
    first = guard.adjusted(FLAT)[v.NOTE_ON + 60]
    play(guard, [60, 62, 64, 65])
    assert guard.adjusted(FLAT)[v.NOTE_ON + 60] < first
    play(guard, list(range(70, 70 + FRESH_ONSETS)))
    assert not guard.is_acting
    play(guard, [60, 62, 64, 65] * 5)
    assert not guard.is_acting


def test_it_leaves_other_music_alone(tiny_store: TokenStore) -> None:
    for piece in tiny_store.pieces:
        guard = LoopGuard()
        for token in tiny_store.ids(piece):
            guard.take(int(token))
            assert not guard.is_acting


def test_trills_and_repeated_notes_of_the_longest_kind_pass() -> None:
    """La Campanella's trill: 73 alternations in a row; Bruyères: one key 67 times."""
    guard = LoopGuard()
    play(guard, list(range(40, 80)))
    play(guard, [86, 88] * 37, steps=6)
    play(guard, list(range(40, 80)))
    play(guard, [70] * 67, steps=8)
    assert not guard.is_acting
