"""After a quantized primer keys are struck about lines, as often as elsewhere."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perceiver_music.generation.grid_keeper import ABOUT_STEPS, UNLIKELY, GridKeeper, StepGrid
from perceiver_music.music.grid import Grid
from perceiver_music.music.tempo_map import TempoMap
from perceiver_music.tokenizer import vocabulary as v

TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
ANY = np.random.default_rng(0).normal(size=v.VOCABULARY_SIZE).astype(np.float32)
FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
ALL = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)
STRIKES = np.r_[v.NOTE_ON : v.NOTE_OFF, v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS]


def grid(
    *,
    from_us: int = 0,
    lines: int = 4,
    share: tuple[float, ...] = (1.0,),
    quarter_us: int = 500_000,
) -> StepGrid:
    tempo_map = TempoMap.from_changes(480, [(0, quarter_us)])
    return StepGrid(
        grid=Grid(
            tempo_map=tempo_map,
            lines_per_quarter=lines,
            offset=0,
            share=share,
            first_line=0,
            bar_tick=0,
            ticks_per_bar=1920,
        ),
        from_us=from_us,
    )


def at(step: int, *, longest: int = 10**6, onsets: dict[int, int] | None = None) -> Any:
    """Where the music stands, as a grammar knows it."""
    return SimpleNamespace(step=step, longest_time=longest, onset_step=onsets or {})


def bent(
    found: StepGrid, *, step: int = 0, logits: np.ndarray = ANY, waited: int = 0, **where: Any
) -> np.ndarray:
    return GridKeeper(found).adjusted(logits, ALL, at(step, **where), waited)


def ends(logits: np.ndarray, *, step: int = 0, waited: int = 0) -> dict[int, float]:
    """Where times end, and how likely each is among times."""
    scores = logits[TIMES].astype(np.float64)
    weights = np.exp(scores) / np.exp(scores).sum()
    return {
        step + int(i) + 1 - waited: float(weights[i]) for i in np.flatnonzero(scores > UNLIKELY / 2)
    }


def total(scores: np.ndarray) -> float:
    return float(np.logaddexp.reduce(scores.astype(np.float64)))


def test_without_a_grid_nothing_changes() -> None:
    assert GridKeeper(None).adjusted(ANY, ALL, at(10)) is ANY


@pytest.mark.parametrize("step", [0, 12, 13, 37, 100, 5000])
def test_times_end_about_lines(step: int) -> None:
    # Lines are 12.5 steps apart; halves are rounded up.
    found = ends(bent(grid(), step=step), step=step)
    longest = step + v.MAX_SHIFT_STEPS
    off = [abs(end - int(round(end / 12.5) * 12.5 + 0.5)) for end in found if end != longest]
    assert max(off) <= ABOUT_STEPS
    assert min(found) > step
    assert len(found) > 35


@pytest.mark.parametrize("step", [0, 12, 25, 27])
def test_on_lines_where_all_begins_nothing_else_changes(step: int) -> None:
    found = bent(grid(), step=step)
    others = np.ones(v.VOCABULARY_SIZE, dtype=bool)
    others[TIMES] = False
    assert (found[others] == ANY[others]).all()
    assert total(found[TIMES]) == pytest.approx(total(ANY[TIMES]), abs=1e-5)


def test_what_ends_between_lines_ends_at_the_nearest() -> None:
    found = ends(bent(grid(lines=5), logits=FLAT))
    # Lines are at 10, 20, ...; just after now is up to 4, which 5 is nearer to 10 than.
    about = {10 * line + off for line in range(1, 10) for off in range(-2, 3)} | {98, 99, 100}
    assert set(found) == {1, 2} | about
    assert found[1] == pytest.approx(0.01)
    assert found[2] == pytest.approx(0.03)
    assert found[20] == pytest.approx(0.06)
    assert found[21] == pytest.approx(0.01)
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("step", [5, 7, 20])
def test_the_longest_time_stays_for_another_follows_it(step: int) -> None:
    only_longest = np.full(v.VOCABULARY_SIZE, -50.0, dtype=np.float32)
    only_longest[TIMES.stop - 1] = 0.0
    found = ends(bent(grid(), step=step, logits=only_longest), step=step)
    assert found[step + v.MAX_SHIFT_STEPS] == pytest.approx(1.0)


@pytest.mark.parametrize("step", [5, 7, 20])
def test_between_lines_what_would_be_struck_waits_for_the_next(step: int) -> None:
    found = bent(grid(), step=step)
    assert (found[STRIKES] <= ANY[STRIKES] + UNLIKELY).all()
    music = np.r_[STRIKES, TIMES.start : TIMES.stop]
    assert total(found[music]) == pytest.approx(total(ANY[music]), abs=1e-5)
    line = {5: 13, 7: 13, 20: 25}[step]
    assert max(ends(found, step=step).items(), key=lambda item: item[1])[0] == line
    releases = slice(v.NOTE_OFF, v.TIME_SHIFT)
    assert (found[releases] == ANY[releases]).all()


def test_where_seldom_something_begins_most_keys_wait() -> None:
    # Of each four lines, 25 steps apart, the second has few notes and the fourth hardly any.
    seldom = grid(lines=2, share=(2.0, 0.3, 1.0, 0.01))
    before = total(ANY[STRIKES])
    struck = [total(bent(seldom, step=25 * line)[STRIKES]) - before for line in range(4)]
    assert struck == pytest.approx([0.0, 0.7 * np.log(0.3), 0.0, 0.7 * np.log(0.01)], abs=1e-5)
    from_fourth = ends(bent(seldom, step=75, logits=np.where(ALL, ANY, 0)), step=75)
    only_waiting = FLAT.copy()
    only_waiting[TIMES] = -50.0
    later = ends(bent(seldom, step=75, logits=only_waiting), step=75)
    assert later[100] == pytest.approx(1.0)
    assert set(later) <= set(from_fourth) | {100}
    later = ends(bent(grid(lines=2, share=(0.5, 0.5)), step=0, logits=only_waiting))
    stays = 0.5**0.7
    shares = [stays * (1 - stays) ** line for line in range(3)]
    assert [later[25 * line] for line in (1, 2, 3)] == pytest.approx(shares)
    assert later[100] == pytest.approx((1 - stays) ** 3)


def test_where_no_key_may_be_struck_none_waits() -> None:
    allowed = ALL.copy()
    allowed[STRIKES] = False
    found = GridKeeper(grid(share=(0.1,))).adjusted(ANY, allowed, at(7))
    assert (found[STRIKES] == ANY[STRIKES]).all()
    assert total(found[TIMES]) == pytest.approx(total(ANY[TIMES]), abs=1e-5)


def test_the_first_time_may_end_where_the_primer_does() -> None:
    on_line = ends(bent(grid(from_us=500_000), waited=40), waited=40)
    assert min(on_line) == 0
    assert np.isfinite(bent(grid(from_us=540_000), waited=40)).all()


def test_between_lines_far_apart_times_end_anywhere_but_near_them() -> None:
    slow = grid(lines=1, quarter_us=1_500_000)
    assert sorted(ends(bent(slow))) == [1, 2, *range(13, 101)]
    around = [*range(101, 138), *range(148, 153), *range(163, 201)]
    assert sorted(ends(bent(slow, step=100), step=100)) == around
    # What would be struck there waits.
    assert (bent(slow, step=120)[STRIKES] < UNLIKELY / 2).all()


@pytest.mark.parametrize(
    ("longest", "last"), [(150, 100), (112, 100), (99, 88), (60, 50), (13, 13), (5, 0)]
)
def test_a_limit_is_not_waited_for_beyond_its_last_line(longest: int, last: int) -> None:
    times = bent(grid(), longest=longest)[TIMES]
    assert max(np.flatnonzero(times > UNLIKELY / 2) + 1, default=0) <= last


def test_what_a_limit_cuts_off_goes_to_its_last_line() -> None:
    whole, cut = ends(bent(grid(), logits=FLAT)), ends(bent(grid(), logits=FLAT, longest=60))
    assert cut[50] == pytest.approx(sum(share for end, share in whole.items() if end >= 50))
    assert cut[38] == pytest.approx(whole[38])


def test_where_a_key_of_a_chord_is_struck_all_may_be() -> None:
    seldom = grid(lines=2, share=(0.1, 1.9))
    for step, onset in ((100, 98), (101, 100), (102, 100), (100, 102)):
        found = bent(seldom, step=step, onsets={60: onset, 64: -1, 65: 40})
        assert (found[STRIKES] == ANY[STRIKES]).all()
        # Nor is it let go about the line at which it was struck.
        assert found[v.NOTE_OFF + 60] == UNLIKELY
        assert found[v.NOTE_OFF + 64] == ANY[v.NOTE_OFF + 64]
        assert found[v.NOTE_OFF + 65] == ANY[v.NOTE_OFF + 65]
    assert (bent(seldom, step=100, onsets={60: 75})[STRIKES] < ANY[STRIKES]).all()


def test_what_waits_about_a_line_does_not_wait_for_that_line() -> None:
    only_waiting = FLAT.copy()
    only_waiting[TIMES] = -50.0
    seldom = grid(lines=2, share=(0.5, 0.5))
    for step in (23, 24, 25, 27):
        found = ends(bent(seldom, step=step, logits=only_waiting), step=step)
        assert max(found.items(), key=lambda item: item[1])[0] == 50
        assert found.get(25, 0.0) < 1e-9


def test_no_line_before_the_new_music_is_struck_at() -> None:
    # The seam is 15 ms after a line.
    found = bent(grid(from_us=515_000), logits=FLAT)
    assert (found[STRIKES] < UNLIKELY / 2).all()


def test_of_another_vocabulary_the_same_keys_wait() -> None:
    size = v.PEDAL.size
    keeper = GridKeeper(grid(), v.PEDAL)
    flat = np.zeros(size, dtype=np.float32)
    found = keeper.adjusted(flat, np.ones(size, dtype=np.bool_), at(6))
    first = v.PEDAL.first_id["VELOCITY"]
    assert (found[first : first + v.PEDAL.num_velocities] < UNLIKELY / 2).all()
    assert (found[v.PEDAL.first_id["PEDAL"] :] == 0).all()


def test_it_goes_on_and_back() -> None:
    keeper = GridKeeper(grid(share=(1.0, 0.2)))
    for step in (0, 1900, 1948, 1949, 5000, 3):
        fresh = GridKeeper(grid(share=(1.0, 0.2))).adjusted(ANY, ALL, at(step))
        assert (keeper.adjusted(ANY, ALL, at(step)) == fresh).all()


def test_moments_of_the_new_music_move_to_lines() -> None:
    moved = grid(from_us=500_000).nearest_us(np.array([0, 140_000, 100_000, 151_000, 60_000]))
    assert moved.tolist() == [0, 125_000, 125_000, 125_000, 0]
    assert grid(from_us=540_000).nearest_us(np.array([10_000])).tolist() == [10_000]
