"""An end is made likelier towards the end of the length, and its last chord is held."""

import numpy as np
import pytest

from perceiver_music.generation.ending import EOS_RISE, HELD_STEPS, NOTES_FALL, Ending
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.limits import Limits
from perceiver_music.tokenizer import vocabulary as v

FLAT = np.zeros(v.VOCABULARY_SIZE)


def grammar_after(held_steps: int, *, is_released: bool) -> Grammar:
    """A grammar after one key, struck so many steps ago."""
    grammar = Grammar(velocity_bin=5)
    grammar.take(v.NOTE_ON + 60)
    for _ in range(held_steps):
        grammar.take(v.TIME_SHIFT)
    if is_released:
        grammar.take(v.NOTE_OFF + 60)
    return grammar


def minute() -> Ending:
    return Ending(Limits(end_step=6000, is_ending_allowed=True))


def eos_after(progress: float, held_steps: int = HELD_STEPS) -> float:
    grammar = grammar_after(held_steps, is_released=True)
    return float(minute().adjusted(FLAT, progress, grammar)[v.EOS])


def test_the_end_rises_from_never_to_likely() -> None:
    assert eos_after(0.2) < -100
    assert eos_after(0.55) == 0.0
    assert 0.0 < eos_after(0.7) < eos_after(0.8) < EOS_RISE
    assert eos_after(0.9) == EOS_RISE


def test_a_short_last_note_is_no_ending_yet() -> None:
    assert eos_after(0.8, held_steps=10) == 0.0
    assert eos_after(0.99, held_steps=10) == EOS_RISE  # nothing else can come any more


def test_in_the_coda_keys_are_struck_less_and_held_longer() -> None:
    young, old = (grammar_after(steps, is_released=False) for steps in (10, HELD_STEPS))
    before = minute().adjusted(FLAT, 0.84, young)
    assert before[v.NOTE_ON : v.TIME_SHIFT].tolist() == [0.0] * 256
    coda = minute().adjusted(FLAT, 0.88, young)
    assert -NOTES_FALL < coda[v.NOTE_ON + 64] < 0.0
    assert coda[v.NOTE_OFF + 60] < 0.0
    last = minute().adjusted(FLAT, 0.97, young)
    assert last[v.NOTE_ON + 64] < -100
    assert last[v.VELOCITY] < -100
    assert last[v.NOTE_OFF + 60] == -NOTES_FALL
    assert minute().adjusted(FLAT, 0.97, old)[v.NOTE_OFF + 60] > 0.0
    assert not FLAT.any()


@pytest.mark.parametrize(
    "limits", [Limits(end_step=1000), Limits(num_events=100), Limits(num_notes=30)]
)
def test_a_short_piece_has_a_longer_coda(limits: Limits) -> None:
    assert 0.0 < Ending(limits).coda < minute().coda
