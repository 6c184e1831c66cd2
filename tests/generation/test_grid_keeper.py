"""After a quantized primer all times end at lines; how likely time passes stays as it was."""

import numpy as np
import pytest

from perceiver_music.generation.grid_keeper import UNLIKELY, GridKeeper, StepGrid
from perceiver_music.music.grid import Grid
from perceiver_music.music.tempo_map import TempoMap
from perceiver_music.tokenizer import vocabulary as v

TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
RNG = np.random.default_rng(0)
ANY = RNG.normal(size=v.VOCABULARY_SIZE).astype(np.float32)


def grid(
    *,
    from_us: int = 0,
    lines: int = 4,
    emphasis: tuple[float, ...] = (0.0,),
    quarter_us: int = 500_000,
) -> StepGrid:
    tempo_map = TempoMap.from_changes(480, [(0, quarter_us)])
    return StepGrid(
        grid=Grid(tempo_map=tempo_map, lines_per_quarter=lines, emphasis=emphasis, first_line=0),
        from_us=from_us,
    )


def likely_ends(logits: np.ndarray, *, step: int, waited: int = 0) -> dict[int, float]:
    """Where times end, and how likely each is."""
    scores = logits[TIMES].astype(np.float64)
    weights = np.exp(scores) / np.exp(scores).sum()
    return {
        step + int(i) + 1 - waited: float(weights[i]) for i in np.flatnonzero(scores > UNLIKELY / 2)
    }


def test_without_a_grid_nothing_changes() -> None:
    assert GridKeeper(None).adjusted(ANY, 10, 0) is ANY


@pytest.mark.parametrize("step", [0, 12, 13, 37, 100, 5000])
def test_times_end_at_lines_from_a_line_and_from_between(step: int) -> None:
    # Lines are 12.5 steps apart.
    ends = likely_ends(GridKeeper(grid()).adjusted(ANY, step, 0), step=step)
    longest = step + v.MAX_SHIFT_STEPS
    assert all(end == longest or end * 2 % 25 in (0, 1) for end in ends)
    assert len(ends) in (8, 9)
    assert min(ends) > step


def test_what_a_time_had_goes_to_its_line_and_the_longest_stays() -> None:
    flat = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
    ends = likely_ends(GridKeeper(grid(lines=5)).adjusted(flat, 0, 0), step=0)
    # What rounds to 0 is no time, and what rounds to 100 has 99 steps at most.
    assert sorted(ends) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert ends[20] == pytest.approx(ends[90])
    assert ends[100] == pytest.approx(ends[20] * 0.6)


@pytest.mark.parametrize(("step", "waited"), [(0, 0), (25, 0), (7, 0), (0, 30), (0, 99)])
def test_time_is_as_likely_as_before_but_for_what_is_no_time(step: int, waited: int) -> None:
    bent = GridKeeper(grid(emphasis=(1.0, -2.0, 0.5, -3.0))).adjusted(ANY, step, waited)
    ends = np.arange(1, 101) - waited + step
    is_none = (np.abs(ends - step) < 6.25) & (step % 25 == 0) & (waited == 0)
    kept = ANY[TIMES][~is_none]
    assert np.logaddexp.reduce(bent[TIMES]) == pytest.approx(np.logaddexp.reduce(kept), abs=1e-4)
    others = np.ones(v.VOCABULARY_SIZE, dtype=bool)
    others[TIMES] = False
    if step == 7:  # between lines
        others[v.NOTE_ON : v.NOTE_OFF] = others[v.VELOCITY : v.VELOCITY + 32] = False
        assert (bent[v.NOTE_ON : v.NOTE_OFF] < UNLIKELY / 2).all()
        assert (bent[v.VELOCITY : v.VELOCITY + 32] < UNLIKELY / 2).all()
    assert (bent[others] == ANY[others]).all()
    assert np.isfinite(bent).all()


def test_the_first_time_may_end_where_the_primer_does() -> None:
    ends = likely_ends(GridKeeper(grid(from_us=500_000)).adjusted(ANY, 0, 40), step=0, waited=40)
    assert min(ends) == 0
    between = likely_ends(GridKeeper(grid(from_us=540_000)).adjusted(ANY, 0, 40), step=0, waited=40)
    assert min(ends for ends in between if between[ends] > 0) == 9  # 625 ms, halves up


def test_lines_further_apart_than_any_time_are_reached_by_several() -> None:
    slow = GridKeeper(grid(lines=1, quarter_us=1_500_000))
    assert sorted(likely_ends(slow.adjusted(ANY, 0, 0), step=0)) == [100]
    assert sorted(likely_ends(slow.adjusted(ANY, 100, 0), step=100)) == [150, 200]


def test_emphasis_makes_lines_likelier_by_so_much() -> None:
    flat = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
    ends = likely_ends(GridKeeper(grid(lines=5, emphasis=(1.0, 0.0))).adjusted(flat, 0, 0), step=0)
    assert np.log(ends[20] / ends[10]) == pytest.approx(1.0)
    assert np.log(ends[40] / ends[20]) == pytest.approx(0.0, abs=1e-6)


def test_it_goes_on_and_back() -> None:
    keeper, fresh = GridKeeper(grid()), GridKeeper(grid())
    for step in (0, 1900, 1948, 1949, 5000, 3):
        expected = GridKeeper(grid()).adjusted(ANY, step, 0)
        assert (keeper.adjusted(ANY, step, 0) == expected).all()
    assert (fresh.adjusted(ANY, 3, 0) == expected).all()


def test_moments_a_step_from_a_line_are_moved_there() -> None:
    moved = grid(from_us=500_000).nearest_us(np.array([0, 130_000, 120_000, 140_000, 62_000]))
    assert moved.tolist() == [0, 125_000, 125_000, 140_000, 62_000]
