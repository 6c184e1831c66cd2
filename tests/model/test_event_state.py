"""The counted state against a plain account of it, event by event."""

import math

import pytest
import torch

from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.event_state import EventTracker, event_state
from perceiver_music.model.key_terms import NUM_HELD_TERMS
from perceiver_music.tokenizer.infilling import prompt_ids
from perceiver_music.tokenizer.registry import get_tokenizer

LAYOUT = EventLayout(**get_tokenizer().event_layout)
ON, OFF, SHIFT, VELOCITY = LAYOUT.note_on, LAYOUT.note_off, LAYOUT.time_shift, LAYOUT.velocity


def shift(steps: int) -> int:
    return SHIFT + steps - 1


MUSIC = [
    *(VELOCITY + 15, ON + 60, shift(30), ON + 64, shift(100), OFF + 60, shift(10)),
    *(VELOCITY + 20, ON + 60, OFF + 64, shift(5), ON + 67, shift(100), shift(100), OFF + 67),
]


def account(tokens: list[int]) -> tuple[dict[int, int], dict[int, int], int, int]:
    """Held keys and last onsets with their times, the velocity bin and the time."""
    held: dict[int, int] = {}
    struck: dict[int, int] = {}
    time = velocity = 0
    for token in tokens:
        if token < OFF:
            held[token] = struck[token] = time
        elif token < SHIFT:
            held.pop(token - OFF, None)
        elif token < VELOCITY:
            time += token - SHIFT + 1
        else:
            velocity = token - VELOCITY + 1
    return held, struck, velocity, time


@pytest.mark.parametrize("num_latents", [1, 4, len(MUSIC)])
def test_each_latent_knows_what_a_plain_account_says(num_latents: int) -> None:
    state = event_state(torch.tensor([MUSIC]), LAYOUT, num_latents=num_latents)
    first = len(MUSIC) - num_latents
    for i in range(num_latents):
        held, struck, velocity, time = account(MUSIC[: first + i + 1])
        assert int(state.time[0, first + i]) == time
        assert int(state.velocity[0, i]) == velocity
        keys = state.keys[0, i]
        assert keys[:, 0].nonzero().flatten().tolist() == sorted(held)
        assert keys[:, NUM_HELD_TERMS].nonzero().flatten().tolist() == sorted(struck)
        for pitch, onset in held.items():
            age = (time - onset) / 100
            assert keys[pitch, 1] == pytest.approx(math.log1p(age / 0.05) / 4)
            assert keys[pitch, 2] == pytest.approx(math.exp(-age / 0.1))
        for pitch, onset in struck.items():
            age = (time - onset) / 100
            assert keys[pitch, -1] == pytest.approx(math.exp(-age / 10))


def test_the_tracker_keeps_the_same_state() -> None:
    for start in range(1, len(MUSIC)):
        tracker = EventTracker(torch.tensor([MUSIC[:start]]), LAYOUT)
        for end in range(start, len(MUSIC)):
            expected = event_state(torch.tensor([MUSIC[: end + 1]]), LAYOUT, num_latents=1)
            tracker.advance(MUSIC[end])
            state = tracker.state()
            torch.testing.assert_close(state.keys, expected.keys)
            assert int(state.velocity) == int(expected.velocity)
            assert int(state.time) == int(expected.time[0, -1])
            assert int(state.number) == int(expected.number[0, -1])
            assert state.onsets.tolist() == expected.onsets.tolist()
            assert state.neighbours.tolist() == expected.neighbours[:, -1:].tolist()


def test_a_prompt_is_passed_over() -> None:
    """In the middle of a gap the state is that of the music before it and of the middle."""
    before, after, middle = MUSIC[:6], MUSIC[7:], MUSIC[6:10]
    prompt = prompt_ids(before, after, num_steps=250).tolist()
    filled = event_state(torch.tensor([prompt + middle]), LAYOUT, num_latents=5)
    plain = event_state(torch.tensor([before + middle]), LAYOUT, num_latents=5)
    torch.testing.assert_close(filled.keys, plain.keys)
    torch.testing.assert_close(filled.velocity, plain.velocity)
    torch.testing.assert_close(filled.onsets, plain.onsets)
    torch.testing.assert_close(filled.time[:, -5:], plain.time[:, -5:])
    torch.testing.assert_close(filled.number[:, -5:], plain.number[:, -5:])


def test_what_follows_a_gap_stands_behind_it() -> None:
    """As if the gap were filled, at the average density, and the music went on."""
    before, after, middle = MUSIC[:6], MUSIC[7:], MUSIC[6:10]
    prompt = prompt_ids(before, after, num_steps=250).tolist()
    state = event_state(torch.tensor([prompt + middle]), LAYOUT, num_latents=1)
    alone = event_state(torch.tensor([after]), LAYOUT, num_latents=1)
    first = len(before) + 1
    shown = slice(first, first + len(after))
    end_of_before = state.time[0, len(before) - 1]
    assert (state.time[0, shown] - end_of_before).tolist() == (alone.time[0] + 250).tolist()
    assert state.is_after_gap[0].nonzero().flatten().tolist() == [
        *range(len(before), first + len(after))
    ]
    expected = torch.arange(len(after)) + 2 + 250 * 2 // 5
    assert (state.number[0, shown] - state.number[0, len(before) - 1]).tolist() == expected.tolist()


def test_what_is_not_visible_does_not_count() -> None:
    tokens = torch.tensor([MUSIC])
    visible = torch.arange(len(MUSIC))[None] >= 7
    hidden = event_state(tokens, LAYOUT, num_latents=3, visible=visible)
    alone = event_state(tokens[:, 7:], LAYOUT, num_latents=3)
    torch.testing.assert_close(hidden.time[:, 7:], alone.time)
    torch.testing.assert_close(hidden.keys, alone.keys)
    torch.testing.assert_close(hidden.velocity, alone.velocity)
