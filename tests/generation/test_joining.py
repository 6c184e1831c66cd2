"""The last part of a filled gap leads to what follows it."""

import gc
import weakref
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from perceiver_music.generation.continuation import continue_events, continue_together
from perceiver_music.generation.growth import Continuation, Growth
from perceiver_music.generation.joining import (
    NUM_PLAYERS,
    JoiningSearch,
    joined,
)
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import log_probabilities, variation_rng
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX, length_ids
from tests.generation.toy_decoder import ToyDecoder

NEVER = -30.0
BEHIND = (v.VELOCITY + 15, v.NOTE_ON + 72, v.TIME_SHIFT + 19)
NUM_STEPS = 300


class Wanderer(ToyDecoder):
    """Steps up or down by a semitone every fifth of a second, and likes to stay near."""

    context, latents, policy = 512, 256, "exact"

    def __init__(self) -> None:
        self.num_begun = 0

    def begin(self, tokens: tuple[int, ...], **_: object) -> SimpleNamespace:
        self.num_begun += 1
        state = SimpleNamespace(last=60, sounding=(), struck=False, logits=np.zeros(0))
        self._predict(state)
        for token in tokens:
            self.advance(state, token)
        return state

    def begin_many(
        self, primers: Sequence[tuple[int, ...]], **options: object
    ) -> list[SimpleNamespace]:
        return [self.begin(tokens, **options) for tokens in primers]

    def advance(self, state: SimpleNamespace, token: int) -> None:
        state.struck = False
        if v.NOTE_ON <= token < v.NOTE_OFF:
            state.last, state.struck = token - v.NOTE_ON, True
        self._predict(state)

    def _predict(self, state: SimpleNamespace) -> None:
        logits = np.full(v.VOCABULARY_SIZE, NEVER)
        logits[v.VELOCITY + 15] = 1.0
        if state.struck:
            logits[v.TIME_SHIFT + 19] = 4.0
        else:
            near = np.arange(128) - state.last
            logits[v.NOTE_ON : v.NOTE_OFF] = 4.0 - 2.0 * np.abs(np.abs(near) - 1)
            logits[v.NOTE_OFF : v.TIME_SHIFT] = 3.0
        state.logits = logits


def opening(
    after: tuple[int, ...] = BEHIND, *, num_before: int = 12, behind: tuple[int, ...] = BEHIND
) -> Opening:
    note = (v.NOTE_ON + 60, v.TIME_SHIFT + 19, v.NOTE_OFF + 60)
    before = (v.BOS, v.VELOCITY + 15, *note * num_before)
    tokens = (*before, SUFFIX, *behind, MIDDLE, *length_ids(NUM_STEPS).tolist())
    return Opening(tokens=tokens, sounding={}, velocity_bin=15, after=after)


def middle(
    seed: int, *, joins: bool = True, steps: int = NUM_STEPS, after: tuple[int, ...] = BEHIND
) -> Continuation:
    *_, music = continue_events(
        Wanderer(),
        opening(after),
        limits=Limits(end_step=steps),
        sampling=SamplingOptions(keep_joint=joins),
        rng=variation_rng(seed, 1),
    )
    return music


def last_pitch(music: Continuation) -> int:
    return [t - v.NOTE_ON for t in music.ids if v.NOTE_ON <= t < v.NOTE_OFF][-1]


def test_music_arrives_nearer_to_what_follows() -> None:
    """A wanderer from 60 that is to arrive at 72."""
    away = [abs(last_pitch(middle(seed)) - 72) for seed in range(12)]
    drawn = [abs(last_pitch(middle(seed, joins=False)) - 72) for seed in range(12)]
    assert np.mean(away) < np.mean(drawn) - 3


def test_the_gap_is_filled_up_to_its_end_and_all_is_released() -> None:
    music = middle(3)
    assert music.ended == "length"
    assert music.step == NUM_STEPS
    struck = sum(v.NOTE_ON <= t < v.NOTE_OFF for t in music.ids)
    released = sum(v.NOTE_OFF <= t < v.TIME_SHIFT for t in music.ids + music.closing)
    assert struck == released == music.num_notes


def test_keys_are_struck_up_to_the_very_end_of_a_gap_for_they_ring_on() -> None:
    def last_onset(music: Continuation) -> int:
        step = last = 0
        for token in music.ids:
            step += token - v.TIME_SHIFT + 1 if v.TIME_SHIFT <= token < v.VELOCITY else 0
            last = step if v.NOTE_ON <= token < v.NOTE_OFF else last
        return last

    # A note every 20 steps: in a gap of 305 the last may be struck 5 before its end.
    assert max(last_onset(middle(seed, steps=305)) for seed in range(4)) == 300
    assert all(last_onset(middle(seed, steps=305, joins=False)) < 300 for seed in range(4))


def test_what_comes_before_the_last_part_is_as_without_a_search() -> None:
    steps = 8 * v.STEPS_PER_SECOND + 500
    plain, joined = middle(5, joins=False, steps=steps), middle(5, steps=steps)
    begins, step = 0, 0
    while step < 500:
        token = plain.ids[begins]
        step += token - v.TIME_SHIFT + 1 if v.TIME_SHIFT <= token < v.VELOCITY else 0
        begins += 1
    assert joined.ids[:begins] == plain.ids[:begins]
    assert joined.ids != plain.ids


def test_with_nothing_behind_the_gap_nothing_is_looked_for() -> None:
    assert middle(4, after=()).ids == middle(4, joins=False).ids


def search_for(model: Wanderer, after: tuple[int, ...]) -> JoiningSearch:
    growth = Growth(
        opening(after),
        limits=Limits(end_step=NUM_STEPS),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
    )
    return JoiningSearch(model, growth, model.begin(opening().tokens))  # type: ignore[arg-type]


def test_the_one_is_taken_after_which_what_follows_is_likeliest() -> None:
    model = Wanderer()
    growth = Growth(
        opening(),
        limits=Limits(end_step=NUM_STEPS),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
    )
    assert growth.is_to_end
    search = JoiningSearch(model, growth, model.begin(opening().tokens))  # type: ignore[arg-type]
    players = [player.growth for player in search._players]
    for leading in search.rounds():
        assert leading.music.step <= NUM_STEPS
    # A semitone away, as it steps, is nearer than the same key again.
    ends = [abs(abs(last_pitch(player.music) - 72) - 1) for player in players]
    assert len(ends) == NUM_PLAYERS
    assert len(set(ends)) > 1
    assert abs(abs(last_pitch(search.chosen.music) - 72) - 1) == min(ends)
    assert not growth.music.ids, "the piece itself is untouched until it becomes the chosen"


def test_company_changes_nothing() -> None:
    def growth(seed: int) -> Growth:
        return Growth(
            opening(),
            limits=Limits(end_step=NUM_STEPS),
            sampling=SamplingOptions(),
            rng=variation_rng(seed, 1),
        )

    growths = [growth(seed) for seed in (1, 2, 3)]
    for _ in continue_together(Wanderer(), [(opening(), growth) for growth in growths]):
        pass
    assert [g.music.ids for g in growths] == [middle(seed).ids for seed in (1, 2, 3)]


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"top_k": 1}])
def test_where_nothing_is_drawn_nothing_is_looked_for(options: dict[str, float]) -> None:
    greedy = SamplingOptions(**options)  # type: ignore[arg-type]
    limits = Limits(end_step=NUM_STEPS)
    growth = Growth(opening(), limits=limits, sampling=greedy, rng=variation_rng(1, 1))
    assert not growth.is_to_end


def test_no_player_is_kept_while_they_are_compared() -> None:
    class Counting(Wanderer):
        def begin(self, tokens: tuple[int, ...], **options: object) -> SimpleNamespace:
            gc.collect()
            alive.append(len(decodes))
            return self.counted(super().begin(tokens, **options))

        def branch(self, state: SimpleNamespace) -> SimpleNamespace:
            return self.counted(super().branch(state))

        def counted(self, state: SimpleNamespace) -> SimpleNamespace:
            decode = Decode(**vars(state))
            decodes.add(decode)
            return decode

    class Decode(SimpleNamespace):
        __hash__ = object.__hash__

    decodes: weakref.WeakSet[Decode] = weakref.WeakSet()
    alive: list[int] = []
    for _ in continue_events(
        Counting(),
        opening(),
        limits=Limits(end_step=NUM_STEPS),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
    ):
        pass
    assert len(alive) == 1 + NUM_PLAYERS
    assert alive[1] <= 1, "that of the piece itself, which its caller has"


NOTE = (v.VELOCITY + 3, v.NOTE_ON + 61)


def test_a_velocity_that_is_in_force_is_not_said_again() -> None:
    heard = [v.VELOCITY + 3, v.NOTE_ON + 60]
    note = [v.TIME_SHIFT, *NOTE, v.VELOCITY + 3]
    assert joined(heard, note).after == [v.TIME_SHIFT, v.NOTE_ON + 61, v.VELOCITY + 3]
    assert joined([v.VELOCITY + 4], note).after == note
    assert joined([], note).after == note
    assert joined(heard, [v.EOS]).after == [v.EOS]


@pytest.mark.parametrize(
    ("before", "behind", "whole", "time", "waited"),
    [
        ([30], [20], [], [50], 30),
        ([100, 30], [90], [100], [100, 20], 30),
        ([100, 100], [20], [100, 100], [20], 0),
        ([30], [100, 5], [], [100, 35], 30),
    ],
)
def test_two_times_are_one(
    before: list[int], behind: list[int], whole: list[int], time: list[int], waited: int
) -> None:
    def times(steps: list[int]) -> list[int]:
        return [v.TIME_SHIFT + step - 1 for step in steps]

    heard = [v.NOTE_ON + 60, v.NOTE_OFF + 60]
    joint = joined(heard + times(before), [*times(behind), *NOTE])
    assert joint == (heard + times(whole), [*times(time), *NOTE], waited)


@pytest.mark.parametrize(
    ("heard", "after"),
    [
        ([v.NOTE_ON + 60, v.TIME_SHIFT + 29], list(NOTE)),
        ([v.TIME_SHIFT + 29, v.NOTE_OFF + 60], [v.TIME_SHIFT + 19, *NOTE]),
    ],
)
def test_one_time_alone_stays(heard: list[int], after: list[int]) -> None:
    assert joined(heard, after) == (heard, after, 0)


def test_silence_that_is_over_late_counts_only_from_the_end_of_the_gap() -> None:
    """Whoever has waited already is asked only how likely the rest is."""
    after = (v.TIME_SHIFT + 29, v.VELOCITY + 15, v.NOTE_ON + 72)
    model = Wanderer()
    search = search_for(model, after)
    silent = SimpleNamespace(tokens_up_to_end=[v.NOTE_ON + 71, v.TIME_SHIFT + 19])
    struck = model.begin(tuple(silent.tokens_up_to_end[:1]))
    likely = log_probabilities(struck.logits)
    whole = likely[v.TIME_SHIFT + 49] - np.logaddexp.reduce(likely[v.TIME_SHIFT + 19 : v.VELOCITY])
    note = log_probabilities(model.begin((v.NOTE_ON + 71, v.TIME_SHIFT)).logits)
    expected = whole + note[v.VELOCITY + 15] + note[v.NOTE_ON + 72]
    assert search._leading_on([silent])[0] == pytest.approx(expected)  # type: ignore[list-item]


def test_where_hardly_anything_is_before_the_gap_it_counts_how_like_what_follows_it_is() -> None:
    low = (v.VELOCITY + 15, *(v.NOTE_ON + 57, v.TIME_SHIFT + 19, v.NOTE_OFF + 57) * 30)
    model = Wanderer()
    bare = opening(num_before=1, behind=low)
    growth = Growth(
        bare,
        limits=Limits(end_step=NUM_STEPS),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 3),
    )
    search = JoiningSearch(model, growth, model.begin(bare.tokens))  # type: ignore[arg-type]
    players = [player.growth for player in search._players]
    for _ in search.rounds():
        pass
    likeliest = search._leading_on(players)
    unlike = [player.unlikeness for player in players]
    assert min(unlike) > 0.0
    scores = likeliest - np.array(unlike)
    assert search.chosen is players[int(scores.argmax())]
    assert scores.argmax() != np.argmax(likeliest)
