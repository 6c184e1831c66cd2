"""Quantized files have a grid; what was played has none."""

import numpy as np
import pytest

from perceiver_music.music.grid import FEWEST_MOMENTS, Grid, grid_of
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_track import Tracks


def file_of(
    ticks: list[int],
    *,
    per_quarter: int = 480,
    quarter_us: int = 500_000,
    meter: tuple[int, int, int] | None = None,
    tempi: dict[int, int] | None = None,
) -> MidiFile:
    track = Tracks()
    track.meta(0, 0x51, quarter_us.to_bytes(3, "big"))
    for tick, tempo in (tempi or {}).items():
        track.meta(tick, 0x51, tempo.to_bytes(3, "big"))
    if meter:
        tick, numerator, power_of_two = meter
        track.meta(tick, 0x58, bytes((numerator, power_of_two, 24, 8)))
    for i, tick in enumerate(ticks):
        track.note(tick, tick + 10, channel=0, pitch=30 + i % 60, velocity=64)
    return parse_midi(track.file(per_quarter), name="file.mid")


def of_all(file: MidiFile) -> Grid | None:
    return grid_of(file, 0, file.performance.end_us)


def found(file: MidiFile) -> Grid:
    grid = of_all(file)
    assert grid is not None
    return grid


@pytest.mark.parametrize(
    ("step", "per_quarter", "lines"),
    [
        (480, 480, 1),
        (240, 480, 2),
        (160, 480, 3),
        (120, 480, 4),
        (60, 480, 8),
        (40, 480, 12),
        (24, 96, 4),
        (6, 24, 4),
        (1024, 4096, 4),
    ],
)
def test_the_widest_grid_that_all_begins_on(step: int, per_quarter: int, lines: int) -> None:
    ticks = [i * step for i in (0, 1, 2, 3, 5, 6, 8, 9, 12, 13, 14, 15, 17, 18, 19, 21)]
    assert found(file_of(ticks, per_quarter=per_quarter)).lines_per_quarter == lines


def test_triplets_of_a_resolution_that_has_none_are_rounded() -> None:
    ticks = [round(i * 220 / 3) for i in range(30)]
    assert found(file_of(ticks, per_quarter=220)).lines_per_quarter == 3


@pytest.mark.parametrize("seed", range(20))
def test_what_is_played_is_on_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    played = np.arange(1, 60) * 240 + rng.normal(0, 12, 59).round().astype(int)
    for per_quarter, scale in ((480, 1), (96, 5), (24, 20)):
        assert of_all(file_of((played // scale).tolist(), per_quarter=per_quarter)) is None


def test_a_few_notes_are_on_none_and_a_few_ornaments_change_nothing() -> None:
    ticks = [i * 120 for i in range(FEWEST_MOMENTS)]
    assert of_all(file_of(ticks[:-1])) is None
    assert of_all(file_of([tick for tick in ticks[:6] for _ in (0, 1)])) is None
    many = [i * 120 for i in range(60)]
    assert found(file_of(sorted([*many, 1237, 2345]))).lines_per_quarter == 4
    assert of_all(file_of(sorted([*many, *range(1237, 2237, 97)]))) is None


def test_a_grid_may_begin_anywhere() -> None:
    ticks = [i * 120 + 37 for i in range(40)]
    grid = found(file_of(ticks))
    assert (grid.lines_per_quarter, grid.offset) == (4, 37)
    us = grid.tempo_map.ticks_to_us(np.array([157, 160, 200]))
    begins = grid.tempo_map.ticks_to_us(np.array([157, 157, 157]))
    assert grid.nearest_us(us).tolist() == begins.tolist()
    assert grid.nearest_us(0) == grid.tempo_map.ticks_to_us(37)
    late = found(file_of([i * 120 + 119 for i in range(40)]))
    assert late.offset == 0


def test_a_line_before_the_beginning_is_no_line_at_it() -> None:
    grid = found(file_of([i * 120 + 80 for i in range(40)]))
    # 40 ticks early; microseconds are rounded down.
    assert grid.nearest_us([0, 50_000]).tolist() == [-41_667, 83_333]


def test_a_finer_resolution_of_the_same_is_on_the_same_grid() -> None:
    coarse = [round(i * 220 / 3) for i in range(30)]
    assert found(file_of([30 * tick for tick in coarse], per_quarter=6600)).lines_per_quarter == 3


def test_where_little_is_played_the_last_moments_say_it() -> None:
    ticks = [i * 3840 for i in range(30)]
    assert found(file_of(ticks, quarter_us=1_000_000)).lines_per_quarter == 1
    assert of_all(file_of(ticks[:7])) is None


def test_of_a_gap_both_sides_say_it() -> None:
    quavers, anything = [i * 240 for i in range(60)], [14_400 + i * 97 for i in range(60)]
    file = file_of(quavers + anything)
    gap = [(0, 5 * 10**6), (14 * 10**6, 20 * 10**6)]
    (begin, end), (late, _) = gap
    whole = file_of(quavers)
    only_after = grid_of(whole, begin, 0, end)
    assert only_after is not None
    assert only_after.lines_per_quarter == 2
    assert grid_of(file, begin, end, late) is None


def test_lines_too_near_to_be_told_apart_are_none() -> None:
    ticks = [i * 60 for i in range(40)]
    assert of_all(file_of(ticks, quarter_us=180_000)) is None
    assert found(file_of(ticks, quarter_us=210_000)).lines_per_quarter == 8


def test_the_last_minute_before_a_moment_says_it() -> None:
    # Half a minute of triplets, then two minutes of quavers, then half a minute of no grid at all.
    ticks = [i * 160 for i in range(180)] + [28_800 + i * 240 for i in range(480)]
    ticks += [144_000 + i * 97 for i in range(300)]
    file = file_of(ticks)
    spans = [(0, 30), (0, 150), (0, 180), (60, 70)]
    grids = [grid_of(file, begin * 10**6, end * 10**6) for begin, end in spans]
    assert [grid and grid.lines_per_quarter for grid in grids] == [3, 2, None, 2]


def test_moments_go_to_the_nearest_line_of_any_tempo() -> None:
    file = file_of([i * 120 for i in range(40)], tempi={1920: 1_000_000})
    grid = found(file)
    assert grid.nearest_us([0, 61_000, 63_000, 1_999_000]).tolist() == [0, 0, 125_000, 2_000_000]
    assert grid.nearest_us([2_120_000, 2_130_000, 10**9]).tolist() == [2_000_000, 2_250_000, 10**9]
    steady = grid.keeping_tempo(1_900_000)
    assert steady.nearest_us([2_120_000, 2_130_000]).tolist() == [2_125_000, 2_125_000]
    assert grid.keeping_tempo(2_000_000).nearest_us(2_120_000) == 2_000_000


@pytest.mark.parametrize(
    ("meter", "first"),
    [(None, 0), ((0, 4, 2), 0), ((0, 3, 2), 0), ((960, 3, 2), 4), ((0, 6, 3), 0)],
)
def test_each_line_of_a_bar_has_its_share(meter: tuple[int, int, int] | None, first: int) -> None:
    lines_per_bar = 16 if meter is None or meter[1] == 4 else 12
    # Three lines of each bar.
    ticks = [120 * (first + bar * lines_per_bar + i) for bar in range(20) for i in (0, 6, 7)]
    grid = found(file_of(ticks, meter=meter))
    begins = grid.tempo_map.ticks_to_us(np.array(ticks[:3]))
    others = grid.tempo_map.ticks_to_us(np.array(ticks[0]) + 120 * np.array([1, 2, 5, 9]))
    (_, high), (_, low) = (grid.nearest_and_share(us) for us in (begins, others))
    assert len(grid.share) == lines_per_bar
    assert np.mean(grid.share) == pytest.approx(1.0)
    assert 0 < low.max() < 1 < high.min()


def test_of_a_few_bars_any_quarter_says_something() -> None:
    ticks = [480 * quarter + 120 * i for quarter in range(6) for i in (0, 2)]
    grid = found(file_of(ticks))
    shares = np.array(grid.share).reshape(4, 2)
    assert grid.lines_per_quarter == 2
    assert shares.min() > 0.5


@pytest.mark.parametrize(
    ("meter", "offset", "step", "bars"),
    [
        ((960, 3, 2), 0, 240, [0, 0, 1_000_000, 1_000_000, 2_500_000]),
        ((0, 4, 2), 0, 240, [0, 0, 0, 2_000_000, 2_000_000]),
        ((0, 4, 2), 240, 480, [0, 0, 0, 2_000_000, 2_000_000]),
        ((0, 3, 3), 0, 480, [0, 750_000, 750_000, 1_500_000, 2_250_000]),
    ],
)
def test_the_bar_that_has_begun(
    meter: tuple[int, int, int], offset: int, step: int, bars: list[int]
) -> None:
    grid = found(file_of([offset + i * step for i in range(60)], meter=meter))
    moments = (0, 700_000, 1_000_000, 2_000_000, 2_500_000)
    assert [grid.bar_of(us) for us in moments] == bars


def test_a_bar_that_begins_before_any_note_can_is_the_one() -> None:
    grid = found(file_of([i * 240 for i in range(60)]))
    assert [grid.bar_of(us) for us in (1_740_000, 1_780_000, 1_990_000, 2_002_000, 2_100_000)] == [
        0,
        2_000_000,
        2_000_000,
        2_000_000,
        2_000_000,
    ]


def test_a_tempo_that_changes_just_after_a_moment_is_not_its_own() -> None:
    file = file_of([i * 60 for i in range(80)], per_quarter=120, tempi={1200: 800_000})
    assert file.tempo_map.quarter_at(4_999_000) == 500_000
    steady = found(file).keeping_tempo(4_999_000)
    assert steady.nearest_us(5_740_000) == 5_750_000
    assert found(file).keeping_tempo(5_000_000).nearest_us(5_740_000) == 5_800_000


def test_of_odd_bars_each_begins_anew() -> None:
    # Bars of seven quavers: crotchets from the first of each, and one quaver.
    ticks = [1680 * bar + 480 * i for bar in range(5) for i in range(4)]
    grid = found(file_of(sorted([*ticks, 240]), meter=(0, 7, 3)))
    assert (grid.lines_per_quarter, len(grid.share)) == (2, 7)
    assert min(grid.share[::2]) > max(grid.share[1::2])
