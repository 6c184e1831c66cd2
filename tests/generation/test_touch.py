"""New music far louder or softer than the primer is led back; all else is left alone."""

import numpy as np
import pytest

from perceiver_music.generation.growth import Growth
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.generation.touch import NARROWEST, TouchKeeper
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX, length_ids

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
VELOCITIES = slice(v.VELOCITY, v.VELOCITY + v.NUM_VELOCITY_BINS)


def playing(
    *velocities: int, seconds: int = 12, first: int = v.VELOCITY, step: int = 4
) -> list[int]:
    """Five notes a second with these MIDI velocities by turns."""
    return [
        token
        for i in range(5 * seconds)
        for token in (
            first + (velocities[i % len(velocities)] + step // 2) // step - 1,
            v.NOTE_ON + 40 + i % 24,
            v.TIME_SHIFT + 19,
            v.NOTE_OFF + 40 + i % 24,
        )
    ]


def after(primer: list[int], music: list[int]) -> np.ndarray:
    keeper = TouchKeeper([v.BOS, *primer])
    for token in music:
        keeper.take(token)
    return keeper.adjusted(FLAT)


@pytest.mark.parametrize(
    ("primer", "music"),
    [((62,), (62,)), ((98,), (98,)), ((30, 90), (34,)), ((30, 90), (86,)), ((50, 70), (54, 66))],
)
def test_what_is_within_the_spread_of_the_primer_is_left_alone(
    primer: tuple[int, ...], music: tuple[int, ...]
) -> None:
    assert after(playing(*primer), playing(*music)) is FLAT


def test_where_all_notes_are_as_loud_little_counts() -> None:
    assert after(playing(98), playing(98 - int(NARROWEST))) is FLAT
    assert after(playing(98), playing(90)) is not FLAT


def test_the_further_off_the_likelier_is_what_leads_back() -> None:
    slopes = [np.diff(after(playing(98), playing(loud))[VELOCITIES])[0] for loud in (90, 82, 50)]
    assert 0 < slopes[0] < slopes[1] <= slopes[2]
    too_loud = after(playing(50), playing(98))[VELOCITIES]
    assert (np.diff(too_loud) < 0).all()


def test_how_likely_a_velocity_is_at_all_stays_and_so_does_all_else() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=v.VOCABULARY_SIZE).astype(np.float32)
    keeper = TouchKeeper(playing(98))
    for token in playing(40):
        keeper.take(token)
    bent = keeper.adjusted(logits)
    assert np.logaddexp.reduce(bent[VELOCITIES]) == pytest.approx(
        np.logaddexp.reduce(logits[VELOCITIES]), abs=1e-4
    )
    others = np.ones(v.VOCABULARY_SIZE, dtype=bool)
    others[VELOCITIES] = False
    assert (bent[others] == logits[others]).all()


@pytest.mark.parametrize("primer", [[], playing(98)[:40]])
def test_a_short_primer_has_no_touch(primer: list[int]) -> None:
    assert after(primer, playing(30)) is FLAT


def test_a_few_notes_are_not_far_off_yet() -> None:
    assert after(playing(98), playing(30)[:12]) is FLAT


def test_the_touch_is_that_of_the_end_of_a_long_primer() -> None:
    primer = playing(110, seconds=60) + playing(30, seconds=60)
    assert after(primer, playing(30)) is FLAT
    assert np.diff(after(primer, playing(110))[VELOCITIES])[0] < 0


def test_at_first_it_is_the_last_seconds_that_count_and_later_the_last_minute() -> None:
    primer = playing(30, seconds=48) + playing(86, 110)
    soon, late = playing(98, seconds=4), playing(98, seconds=90)
    assert after(primer, soon) is FLAT
    assert np.diff(after(primer, late)[VELOCITIES])[0] < 0
    assert np.diff(after(primer, playing(30, seconds=4))[VELOCITIES])[0] > 0
    assert after(primer, playing(30, seconds=90)) is FLAT


def test_keys_struck_before_any_velocity_is_known_do_not_count() -> None:
    cut_off = [v.NOTE_ON + 90, v.TIME_SHIFT + 9, *playing(98)]
    bent = after(cut_off, playing(30))
    assert bent is not FLAT
    assert (bent == after(playing(98), playing(30))).all()


def test_what_was_heard_is_forgotten_in_time() -> None:
    assert after(playing(98), playing(30) + playing(98)) is FLAT


def test_tokens_with_all_velocities_have_a_touch_too() -> None:
    first = v.PEDAL.first_id["VELOCITY"]
    logits = np.zeros(v.PEDAL.size, dtype=np.float32)
    keeper = TouchKeeper(playing(98, first=first, step=1), v.PEDAL)
    for token in playing(60, first=first, step=1):
        keeper.take(token)
    velocities = keeper.adjusted(logits)[first : first + 127]
    assert (np.diff(velocities) > 0).all()


def loudness(*, keeps: bool) -> float:
    """How loud a model that would play at 40 goes on after a primer at 98, on average."""
    before = tuple(playing(98))
    growth = Growth(
        Opening(tokens=(v.BOS, *before), sounding={}, velocity_bin=24),
        limits=Limits(num_events=3000),
        sampling=SamplingOptions(keep_touch=keeps, keep_pace=False, keep_key=False),
        rng=variation_rng(1, 1),
    )
    bins = np.arange(v.NUM_VELOCITY_BINS)
    logits = np.zeros(v.VOCABULARY_SIZE)
    logits[VELOCITIES] = 2.0 - ((bins - 9) / 6.0) ** 2
    logits[v.NOTE_OFF : v.TIME_SHIFT] = 3.0
    logits[v.TIME_SHIFT : v.VELOCITY] = np.linspace(2.0, -6.0, v.MAX_SHIFT_STEPS)
    while not growth.is_long_enough:
        growth.take(growth.choose(logits))
    drawn = [t - v.VELOCITY for t in growth.music.ids if v.VELOCITY <= t < v.NUM_EVENT_IDS]
    return 4 * float(np.mean(drawn[len(drawn) // 2 :])) + 2


def test_music_that_fades_is_led_back_while_it_grows() -> None:
    assert loudness(keeps=False) < 50
    assert loudness(keeps=True) > 62


def test_in_a_gap_the_model_sees_how_loud_it_is_to_become() -> None:
    before = (v.BOS, *playing(98))
    tokens = (*before, SUFFIX, *playing(30), MIDDLE, *length_ids(3000).tolist())
    growth = Growth(
        Opening(tokens=tokens, sounding={}, velocity_bin=24),
        limits=Limits(end_step=3000),
        sampling=SamplingOptions(keep_pace=False),
        rng=variation_rng(1, 1),
    )
    for token in playing(30):
        growth.take(token)
    logits = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
    assert growth._keepers._touch.adjusted(logits) is logits


def test_in_a_gap_that_nothing_is_played_before_it_is_as_loud_as_what_follows() -> None:
    tokens = (v.BOS, SUFFIX, *playing(98), MIDDLE, *length_ids(3000).tolist())
    growth = Growth(
        Opening(tokens=tokens, sounding={}, velocity_bin=None),
        limits=Limits(end_step=3000),
        sampling=SamplingOptions(keep_pace=False),
        rng=variation_rng(1, 1),
    )
    for token in playing(30):
        growth.take(token)
    logits = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
    assert (np.diff(growth._keepers._touch.adjusted(logits)[VELOCITIES]) > 0).all()
