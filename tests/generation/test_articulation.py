"""New music whose notes are far shorter or longer than the primer's is led back."""

import numpy as np
import pytest

from perceiver_music.generation.articulation import ArticulationKeeper
from perceiver_music.generation.growth import Growth
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.tokenizer import vocabulary as v

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
RELEASES = slice(v.NOTE_OFF, v.TIME_SHIFT)
EVERY = 40


def playing(*lengths: int, notes: int = 40) -> list[int]:
    """A note every 0.4 s, so many steps long by turns; the last of them is open."""
    events = []
    for i in range(notes):
        begins, pitch = i * EVERY, 30 + i % 60
        events += [(begins, 1, v.NOTE_ON + pitch)]
        events += [(begins + lengths[i % len(lengths)], 0, v.NOTE_OFF + pitch)]
    found, now = [], 0
    for step, _, token in sorted(events):
        while now < step:
            shift = min(step - now, v.MAX_SHIFT_STEPS)
            found.append(v.TIME_SHIFT + shift - 1)
            now += shift
        found.append(token)
    return found


def after(primer: list[int], music: list[int]) -> np.ndarray:
    keeper = ArticulationKeeper([v.BOS, *primer])
    for token in music:
        keeper.take(token)
    return keeper.adjusted(FLAT)


@pytest.mark.parametrize("length", [15, 20, 26])
def test_what_is_near_a_primer_that_is_always_the_same_is_left_alone(length: int) -> None:
    assert after(playing(20), playing(length)) is FLAT
    assert after(playing(10, 40), playing(length)) is FLAT


def test_a_primer_that_varies_leaves_more_room_to_music() -> None:
    varied = [token for length in (10, 40) * 4 for token in playing(length, notes=15)]
    for length in (13, 32):
        assert after(varied, playing(length)) is FLAT
        assert after(playing(20), playing(length)) is not FLAT
    assert after(varied, playing(5)) is not FLAT


def test_the_shorter_notes_have_become_the_less_likely_are_releases() -> None:
    bends = [after(playing(80), playing(length))[RELEASES][0] for length in (50, 40, 30, 3)]
    assert 0 > bends[0] > bends[1] > bends[2] >= bends[3] == -1.5
    longer = after(playing(5), playing(30))
    assert longer[v.NOTE_OFF] == longer[RELEASES].max() > 0
    others = np.ones(v.VOCABULARY_SIZE, dtype=bool)
    others[RELEASES] = False
    assert not longer[others].any()


def test_a_key_that_is_old_already_is_not_held_for_short_notes_around_it() -> None:
    music = [v.NOTE_ON + 20, *playing(5)]
    bent = after(playing(80), music)
    assert bent[v.NOTE_OFF + 20] == pytest.approx(0)
    assert bent[v.NOTE_OFF + 21] < 0
    too_long = after(playing(5), [v.NOTE_ON + 20, *playing(30)])
    assert too_long[v.NOTE_OFF + 20] > 0


def with_short_notes(share: int, *, key: int | None = None) -> np.ndarray:
    """After 40 notes, of which the last so many are short, as none of the primer's is."""
    music = playing(*[50] * (40 - share), *[12] * share)
    return after(playing(20, 40, 60, 80), music if key is None else [*music, v.NOTE_ON + key])


@pytest.mark.parametrize("share", [0, 2])
def test_a_few_short_notes_are_left_alone(share: int) -> None:
    assert with_short_notes(share) is FLAT


def test_where_many_notes_are_short_the_next_ones_are_held_on() -> None:
    bends = [with_short_notes(share, key=20)[v.NOTE_OFF + 20] for share in (5, 8, 16)]
    assert 0 > bends[0] > bends[1] > bends[2] >= -4.5
    bent = with_short_notes(5, key=20)
    assert np.flatnonzero(bent).tolist() == [v.NOTE_OFF + 20], "others were not struck just now"


def test_notes_as_short_as_some_of_the_primers_are_not_held_on() -> None:
    music = [*playing(*[50] * 32, *[25] * 8), v.NOTE_ON + 20]
    assert after(playing(20, 40, 60, 80), music) is FLAT
    assert after(playing(44), music)[v.NOTE_OFF + 20] < 0


@pytest.mark.parametrize("primer", [[], playing(80, notes=8)])
def test_a_short_primer_has_no_articulation(primer: list[int]) -> None:
    assert after(primer, playing(5)) is FLAT


def test_a_few_notes_are_not_far_off_yet() -> None:
    assert after(playing(80), playing(5, notes=8)) is FLAT


def test_only_the_last_minute_of_a_primer_and_the_last_seconds_count() -> None:
    primer = playing(5, notes=150) + playing(80, notes=160)
    assert after(primer, playing(80)) is FLAT
    assert after(primer, playing(5))[v.NOTE_OFF] < 0
    assert after(primer, playing(5) + playing(80)) is FLAT


def test_a_key_that_the_primer_holds_is_as_long_as_it_sounds() -> None:
    keeper = ArticulationKeeper([v.BOS, *playing(80), v.NOTE_ON + 20])
    for token in (v.TIME_SHIFT + 99, v.NOTE_OFF + 20, v.NOTE_OFF + 21):
        keeper.take(token)
    assert [round(np.exp(length)) for length in keeper._lengths.ended.since(0)] == [100]


def mean_length(*, keeps: bool) -> float:
    """How long notes are, in steps, of a model that plays 10 where its primer played 80."""
    growth = Growth(
        Opening(tokens=(v.BOS, *playing(80)), sounding={}, velocity_bin=16),
        limits=Limits(num_events=3000),
        sampling=SamplingOptions(
            keep_articulation=keeps, keep_pace=False, keep_key=False, let_go=False
        ),
        rng=variation_rng(1, 1),
    )
    logits = np.full(v.VOCABULARY_SIZE, -9.0)
    logits[v.NOTE_ON : v.NOTE_OFF] = -4.0
    logits[RELEASES] = 1.0
    logits[v.TIME_SHIFT + 4 : v.TIME_SHIFT + 15] = 0.0
    struck: dict[int, int] = {}
    lengths = []
    while not growth.is_long_enough:
        token = growth.choose(logits)
        growth.take(token)
        if v.NOTE_ON <= token < v.NOTE_OFF:
            struck[token - v.NOTE_ON] = growth.music.step
        elif token - v.NOTE_OFF in struck:
            lengths.append(growth.music.step - struck.pop(token - v.NOTE_OFF))
    return float(np.mean(lengths))


def test_music_that_becomes_choppy_is_led_back_while_it_grows() -> None:
    assert mean_length(keeps=True) > 1.5 * mean_length(keeps=False)
