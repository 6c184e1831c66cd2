"""Whatever is drawn within the grammar is music that a piano can play."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceiver_music.generation.grammar import (
    MAX_HELD_STEPS,
    MAX_PAUSE_STEPS,
    MAX_REST_STEPS,
    Grammar,
)
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import decode, encode


def ids(*events: tuple[str, int]) -> list[int]:
    return [v.token_id(name, value) for name, value in events]


def after(*events: tuple[str, int], **options: object) -> Grammar:
    grammar = Grammar(**{"velocity_bin": 5, **options})
    for token in ids(*events):
        assert grammar.allowed()[token], v.describe(token)
        grammar.take(token)
    return grammar


def is_allowed(grammar: Grammar, name: str, value: int = 0) -> bool:
    return bool(grammar.allowed()[v.token_id(name, value)])


def test_time_that_is_skipped_releases_no_key_that_was_just_struck() -> None:
    grammar = after(("NOTE_ON", 60))
    grammar.skip(v.token_id("TIME_SHIFT", 10))
    assert not is_allowed(grammar, "NOTE_OFF", 60)
    grammar.take(v.token_id("TIME_SHIFT", 1))
    assert is_allowed(grammar, "NOTE_OFF", 60)


def test_a_silent_key_cannot_be_released_nor_a_sounding_one_struck() -> None:
    grammar = after(("VELOCITY", 20), ("NOTE_ON", 60), ("TIME_SHIFT", 10))
    assert is_allowed(grammar, "NOTE_OFF", 60)
    assert not is_allowed(grammar, "NOTE_OFF", 61)
    assert not is_allowed(grammar, "NOTE_ON", 60)
    assert is_allowed(grammar, "NOTE_ON", 61)


def test_only_the_keys_of_a_piano_are_struck() -> None:
    assert np.flatnonzero(Grammar(velocity_bin=5).allowed()[:128]).tolist() == list(range(21, 109))
    # one that a wider keyboard has struck can still be let go, and is not struck again
    grammar = Grammar({5: 30}, velocity_bin=5)
    grammar.take(v.token_id("TIME_SHIFT", 10))
    assert is_allowed(grammar, "NOTE_OFF", 5)
    grammar.take(v.token_id("NOTE_OFF", 5))
    assert not is_allowed(grammar, "NOTE_ON", 5)
    all_but = dict.fromkeys(range(21, 109), 30)
    assert not is_allowed(Grammar(all_but, velocity_bin=5), "VELOCITY", 7)


def test_a_note_lasts_at_least_a_step() -> None:
    assert not is_allowed(after(("NOTE_ON", 60)), "NOTE_OFF", 60)


def test_a_velocity_changes_something_and_is_used() -> None:
    grammar = after(("VELOCITY", 20))
    assert not is_allowed(grammar, "TIME_SHIFT", 1)
    assert not is_allowed(grammar, "VELOCITY", 21)
    grammar.take(v.token_id("NOTE_ON", 60))
    assert not is_allowed(grammar, "VELOCITY", 20)
    assert is_allowed(grammar, "VELOCITY", 21)


def test_only_the_longest_shift_is_followed_by_another() -> None:
    assert not is_allowed(after(("NOTE_ON", 60), ("TIME_SHIFT", 99)), "TIME_SHIFT", 1)
    assert is_allowed(after(("NOTE_ON", 60), ("TIME_SHIFT", 100)), "TIME_SHIFT", 1)


def test_time_does_not_run_on_for_ever() -> None:
    silent = after(*[("TIME_SHIFT", 100)] * (MAX_REST_STEPS // 100))
    assert not silent.allowed()[v.TIME_SHIFT : v.VELOCITY].any()
    held = after(("NOTE_ON", 60), *[("TIME_SHIFT", 100)] * (MAX_PAUSE_STEPS // 100))
    assert not held.allowed()[v.TIME_SHIFT : v.VELOCITY].any()


def test_a_deadline_is_kept_and_nothing_else_happens_before_it_is() -> None:
    grammar = Grammar({60: 30})
    assert is_allowed(grammar, "TIME_SHIFT", 30)
    assert not is_allowed(grammar, "TIME_SHIFT", 31)
    grammar.take(v.token_id("TIME_SHIFT", 30))
    assert np.flatnonzero(grammar.allowed()).tolist() == ids(("NOTE_OFF", 60))


def test_specials_never_come() -> None:
    grammar = after(("NOTE_ON", 60), ("TIME_SHIFT", 1))
    assert not grammar.allowed()[v.NUM_EVENT_IDS :].any()
    grammar.take(v.token_id("NOTE_OFF", 60))
    assert not grammar.allowed()[v.NUM_EVENT_IDS :].any()


def test_music_stops_where_it_is_to_end() -> None:
    grammar = after(("NOTE_ON", 60), ("TIME_SHIFT", 40), end_step=50)
    assert not is_allowed(grammar, "TIME_SHIFT", 11)
    grammar = after(("NOTE_ON", 60), ("TIME_SHIFT", 50), end_step=50)
    assert not grammar.allowed()[v.TIME_SHIFT : v.VELOCITY].any()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sounding=st.dictionaries(st.integers(0, 127), st.integers(1, 300), max_size=5),
    shift_bias=st.floats(0.0, 6.0),
    longest_wait=st.none() | st.integers(50, 300),
)
def test_any_walk_through_the_grammar_is_encodable_music(
    seed: int, sounding: dict[int, int], shift_bias: float, longest_wait: int | None
) -> None:
    rng = np.random.default_rng(seed)
    grammar = Grammar(sounding, longest_wait=longest_wait)
    drawn: list[int] = []
    open_keys = dict(sounding)
    for _ in range(200):
        allowed = grammar.allowed()
        assert allowed.any()
        logits = rng.normal(size=v.VOCABULARY_SIZE)
        logits[v.TIME_SHIFT : v.VELOCITY] += shift_bias
        token = int(np.where(allowed, logits, -np.inf).argmax())
        grammar.take(token)
        drawn.append(token)
        open_keys.pop(token - v.NOTE_OFF, None)
        assert all(grammar.step <= deadline for deadline in open_keys.values())
        assert longest_wait is None or grammar.step - grammar.last_onset_step <= longest_wait
        assert all(grammar.step - onset <= MAX_HELD_STEPS for onset in grammar.onset_step.values())
    notes = decode(np.array(drawn, dtype=np.uint16)).notes
    assert (notes["end_us"] > notes["start_us"]).all()
    for pitch in np.unique(notes["pitch"]):
        own = np.sort(notes[notes["pitch"] == pitch], order="start_us")
        assert (own["start_us"][1:] >= own["end_us"][:-1]).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_walk_from_silence_is_what_the_encoder_would_write(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grammar = Grammar()
    drawn: list[int] = []
    assert not grammar.allowed()[v.NOTE_ON : v.NOTE_OFF].any()
    while len(drawn) < 300 or not grammar.is_silent:
        allowed = grammar.allowed()
        if len(drawn) >= 300:  # let everything go
            allowed[v.NOTE_ON : v.NOTE_OFF] = False
            allowed[v.VELOCITY :] = False
            allowed = allowed if allowed.any() else grammar.allowed()
        token = int(rng.choice(np.flatnonzero(allowed)))
        grammar.take(token)
        drawn.append(token)
    while drawn[-1] >= v.TIME_SHIFT:  # nothing is written after the last release
        drawn.pop()
    again = encode(decode(np.array(drawn, dtype=np.uint16))).tolist()
    assert sorted(again) == sorted(drawn)


def test_time_that_was_waited_before_the_music_is_waited_to_its_end() -> None:
    def times(grammar: Grammar) -> list[int]:
        allowed = np.flatnonzero(grammar.allowed())
        assert ((allowed >= v.TIME_SHIFT) & (allowed < v.VELOCITY)).all()
        return (allowed - v.TIME_SHIFT + 1).tolist()

    assert times(Grammar(velocity_bin=5, waited=30)) == list(range(30, 101))
    assert times(Grammar({60: 20}, velocity_bin=5, waited=30)) == list(range(30, 51))
    at_once = after(("TIME_SHIFT", 30), waited=30)
    assert at_once.step == 0
    assert not is_allowed(at_once, "TIME_SHIFT", 1)
    assert is_allowed(at_once, "NOTE_ON", 60)
    assert after(("TIME_SHIFT", 80), waited=30).step == 50
    assert is_allowed(after(("TIME_SHIFT", 100), waited=30), "TIME_SHIFT", 100)


def test_a_wait_that_is_long_enough_ends_with_a_key() -> None:
    second = ("TIME_SHIFT", 100)
    grammar = after(("NOTE_ON", 60), second, second, ("TIME_SHIFT", 50), longest_wait=300)
    assert not grammar.allowed()[v.TIME_SHIFT : v.VELOCITY].any()  # as after any shorter one
    grammar = after(("NOTE_ON", 60), second, second, longest_wait=270)
    assert is_allowed(grammar, "TIME_SHIFT", 70)
    assert not is_allowed(grammar, "TIME_SHIFT", 71)
    grammar.take(v.token_id("TIME_SHIFT", 70))
    grammar.take(v.token_id("NOTE_OFF", 60))
    assert not grammar.allowed()[v.TIME_SHIFT : v.VELOCITY].any()
    grammar.take(v.token_id("NOTE_ON", 64))
    assert is_allowed(grammar, "TIME_SHIFT", 100)
    # Where it is too late to strike one, time goes on to the end.
    grammar = after(("NOTE_ON", 60), second, second, end_step=205, longest_wait=200)
    assert is_allowed(grammar, "TIME_SHIFT", 5)


def test_no_key_is_struck_just_before_the_end() -> None:
    grammar = Grammar(end_step=200, velocity_bin=10)
    grammar.take(v.TIME_SHIFT + 99)
    grammar.take(v.TIME_SHIFT + 90)
    assert grammar.allowed()[v.NOTE_ON : v.NOTE_ON + 128].any()
    grammar = Grammar(end_step=200, velocity_bin=10)
    grammar.take(v.TIME_SHIFT + 99)
    grammar.take(v.TIME_SHIFT + 92)
    allowed = grammar.allowed()
    assert not allowed[v.NOTE_ON : v.NOTE_ON + 128].any()
    assert not allowed[v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS].any()
    # Only time is left, as much as there is: the shift before was not the longest, and yet.
    assert np.flatnonzero(allowed).tolist() == list(range(v.TIME_SHIFT, v.TIME_SHIFT + 7))


def test_where_others_have_all_keys_nothing_is_struck() -> None:
    grammar = Grammar(velocity_bin=3, reserved=dict.fromkeys(range(128), 0))
    assert not is_allowed(grammar, "NOTE_ON", 60)
    assert not is_allowed(grammar, "VELOCITY", 5)
    assert is_allowed(grammar, "TIME_SHIFT", 10)
    del (free := dict.fromkeys(range(128), 0))[60]
    grammar = Grammar(velocity_bin=3, reserved=free)
    assert is_allowed(grammar, "NOTE_ON", 60)
    assert is_allowed(grammar, "VELOCITY", 5)


@pytest.mark.parametrize("last", [1, 4, 8])
def test_a_rest_that_reaches_its_limit_just_before_the_end_goes_on_to_it(last: int) -> None:
    rest = [("TIME_SHIFT", 100)] * (MAX_REST_STEPS // 100)
    grammar = after(
        ("NOTE_ON", 60), ("TIME_SHIFT", 1), ("NOTE_OFF", 60), *rest, end_step=401 + last
    )
    assert np.flatnonzero(grammar.allowed()).tolist() == list(
        range(v.TIME_SHIFT, v.TIME_SHIFT + last)
    )


@pytest.mark.parametrize("reserved", [{}, dict.fromkeys(range(128), 700)])
@pytest.mark.parametrize("wait", [None, 300])
def test_there_is_always_a_way_on(reserved: dict[int, int], wait: int | None) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        end = int(rng.integers(1, 1500))
        grammar = Grammar(
            {60: 5}, velocity_bin=7, end_step=end, reserved=reserved, longest_wait=wait
        )
        while grammar.step < end:
            choices = np.flatnonzero(grammar.allowed())
            assert len(choices), (grammar.step, end)
            times = choices[(choices >= v.TIME_SHIFT) & (choices < v.VELOCITY)]
            grammar.take(
                int(times[-1] if len(times) and rng.random() < 0.8 else rng.choice(choices))
            )
