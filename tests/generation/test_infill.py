"""A gap as a prompt: what is shown around it, what sounds at its edges, what fits."""

import numpy as np
import pytest

from perceiver_music.errors import UsageError
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.infill import (
    choose_gap,
    gap_opening,
    opening_and_limits,
    share_room,
)
from perceiver_music.generation.primer import Window
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX, length_ids, take_apart
from perceiver_music.tokenizer.performance_events import encode

GAP = Window(from_us=4_000_000, to_us=6_500_000)
LATENTS = 1024


def performance(*extra: tuple[int, int, int, int], pedal: bool = False) -> Performance:
    """A note every quarter of a second for ten seconds, each a little shorter, and extras."""
    rows = [(i * 250_000, i * 250_000 + 200_000, 40 + i % 24, 30 + i) for i in range(40)]
    moves = [(3_000_000, 100), (5_000_000, 0)] if pedal else []
    return Performance(
        notes=np.array(rows + list(extra), dtype=NOTE_DTYPE),
        pedal=np.array(moves, dtype=PEDAL_DTYPE),
    )


def test_the_prompt_is_the_one_that_training_makes() -> None:
    tokens = list(gap_opening(performance(), GAP, context=4096, latents=LATENTS).opening.tokens)
    wanted = take_apart(encode(performance()), 400, 650)
    assert tokens[0] == v.BOS
    assert tokens[1 : tokens.index(SUFFIX)] == wanted.before.tolist()
    after = tokens[tokens.index(SUFFIX) + 1 : tokens.index(MIDDLE)]
    assert after == [*wanted.after.tolist(), v.EOS][: LATENTS // 4]
    assert tokens[tokens.index(MIDDLE) + 1 :] == length_ids(250).tolist()


def test_only_events_around_the_gap_are_counted() -> None:
    opening = gap_opening(performance(), GAP, context=4096, latents=LATENTS).opening
    assert opening.num_events == len(opening.tokens) - len(length_ids(250)) - 4


def test_what_sounds_over_an_edge() -> None:
    found = gap_opening(
        performance((3_900_000, 5_000_000, 90, 64), (1_000_000, 9_000_000, 91, 64)),
        GAP,
        context=4096,
        latents=LATENTS,
    )
    assert found.num_steps == 250
    assert found.opening.sounding == {90: 100, 91: 250}
    assert found.opening.locked == {91}
    grammar = Grammar(found.opening.sounding, end_step=250, locked=found.opening.locked)
    allowed = grammar.allowed()
    assert allowed[v.NOTE_OFF + 90]
    assert not allowed[[v.NOTE_OFF + 91, v.NOTE_ON + 91]].any()


def test_the_pedal_makes_notes_sound_into_the_gap_but_locks_none() -> None:
    opening = gap_opening(performance(pedal=True), GAP, context=4096, latents=LATENTS).opening
    assert set(opening.sounding.values()) == {100}
    assert not opening.locked


@pytest.mark.parametrize("context", [64, 128, 200])
def test_a_prompt_leaves_room_for_the_middle(context: int) -> None:
    opening = gap_opening(performance(), GAP, context=context, latents=LATENTS).opening
    middle = opening.tokens.index(MIDDLE) - opening.tokens.index(SUFFIX)
    assert len(opening.tokens) <= max(context - 64, context // 4 + 2)
    assert middle >= 1


def test_what_comes_after_gets_a_third_and_more_where_there_is_room() -> None:
    def sizes(before: int, after: int, room: int = 100) -> tuple[int, int]:
        parts = share_room(np.arange(before), np.arange(after), room, 192)
        return len(parts[0]), len(parts[1])

    assert sizes(500, 500) == (70, 30)
    assert sizes(60, 500) == (60, 40)
    assert sizes(5, 500) == (5, 50)
    assert sizes(500, 10) == (90, 10)
    assert sizes(5000, 5000, room=1000) == (808, 192)
    before, after = share_room(np.arange(500), np.arange(500), 100, 192)
    assert (before[-1], after[0]) == (499, 0)


def test_a_gap_at_the_beginning_and_one_to_the_end() -> None:
    first = gap_opening(
        performance(), Window(from_us=0, to_us=2_000_000), context=4096, latents=LATENTS
    ).opening
    assert first.tokens[:2] == (v.BOS, SUFFIX)
    assert first.velocity_bin is None
    last = gap_opening(
        performance(), Window(from_us=8_000_000, to_us=12_000_000), context=4096, latents=LATENTS
    )
    tokens = last.opening.tokens
    assert tokens[tokens.index(SUFFIX) + 1] == v.EOS


@pytest.mark.parametrize("moments", [(3.0, 3.0), (3.0, 3.04), (4.0, 2.0), (50.0, 55.0), (1, 200)])
def test_gaps_that_are_none(moments: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="between"):
        choose_gap(performance(), *moments)


def test_a_key_that_is_struck_after_the_gap_is_left_alone_just_before() -> None:
    opening = gap_opening(performance(), GAP, context=4096, latents=LATENTS).opening
    # At 6.5 s and 6.75 s keys 42 and 43 are struck; no key twice within 0.3 s anywhere.
    assert opening.reserved == {42: 220, 43: 245}
    grammar = Grammar({}, end_step=250, velocity_bin=5, reserved=opening.reserved)
    grammar.take(v.TIME_SHIFT + 99)
    grammar.take(v.TIME_SHIFT + 99)
    grammar.take(v.TIME_SHIFT + 18)
    assert grammar.allowed()[v.NOTE_ON + 42]
    grammar.take(v.VELOCITY)
    grammar.take(v.NOTE_ON + 60)
    grammar.take(v.TIME_SHIFT)
    assert not grammar.allowed()[v.NOTE_ON + 42]
    assert grammar.allowed()[v.NOTE_ON + 43]


def test_where_keys_are_repeated_fast_they_may_be() -> None:
    fast = [(7_000_000 + i * 100_000, 7_050_000 + i * 100_000, 100, 64) for i in range(4)]
    opening = gap_opening(performance(*fast), GAP, context=4096, latents=LATENTS).opening
    assert opening.reserved == {42: 240}


@pytest.mark.parametrize(
    ("to_us", "keeps_joint", "is_end"),
    [(10_500_000, True, True), (10_500_000, False, False), (6_500_000, True, False)],
)
def test_where_no_key_is_struck_behind_a_gap_it_is_an_end_that_is_looked_for(
    to_us: int, keeps_joint: bool, is_end: bool
) -> None:
    gap = Window(from_us=4_000_000, to_us=to_us)
    opening, limits = opening_and_limits(
        performance(), gap, context=4096, latents=LATENTS, keeps_joint=keeps_joint
    )
    assert limits.end_step == (to_us - 4_000_000) // v.MICROSECONDS_PER_STEP
    assert limits.is_ending_allowed is is_end
    assert opening.is_of_gap is not is_end
    assert opening.before[:20] == tuple(
        gap_opening(performance(), gap, context=4096, latents=LATENTS).opening.before[:20]
    )


def test_what_is_around_a_gap_is_what_comes_before_it_if_anything_does() -> None:
    opening = gap_opening(performance(), GAP, context=4096, latents=LATENTS).opening
    assert opening.around == opening.before
    first = Window(from_us=0, to_us=2_500_000)
    opening = gap_opening(performance(), first, context=4096, latents=LATENTS).opening
    behind = take_apart(encode(performance()), 0, 250).after
    assert list(opening.around) == [*behind.tolist(), v.EOS][: LATENTS // 4]


def test_where_a_key_is_held_over_a_gap_the_music_does_not_end_in_it() -> None:
    held = performance((3_000_000, 12_000_000, 90, 64))
    gap = Window(from_us=4_000_000, to_us=10_500_000)
    opening, limits = opening_and_limits(held, gap, context=4096, latents=LATENTS, keeps_joint=True)
    assert opening.locked == {90}
    assert not limits.is_ending_allowed
