"""Few velocities, and moments and velocities exactly as the primer has them."""

import numpy as np
import pytest

from perceiver_music.generation.as_written import (
    exactly_as_written,
    few_levels,
    opening_as_written,
)
from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import EMPTY_OPENING, Opening, Window
from perceiver_music.music.grid import Grid
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import Performance, note_array
from perceiver_music.music.tempo_map import TempoMap
from perceiver_music.tokenizer.vocabulary import MAESTRO


@pytest.mark.parametrize(
    ("velocities", "levels"),
    [
        ([], ()),
        ([80] * 11, ()),
        ([80] * 12, (80,)),
        ([80] * 20 + [50], ()),
        ([80] * 20 + [50] * 4, (80,)),
        ([80] * 20 + [50] * 6, (50, 80)),
        ([10 * i for i in range(1, 9)] * 12, tuple(range(10, 81, 10))),
        ([10 * i for i in range(1, 10)] * 40, ()),
        (list(range(40, 100)) * 40, ()),
    ],
)
def test_a_file_has_few_velocities_or_none(velocities: list[int], levels: tuple[int, ...]) -> None:
    assert few_levels(velocities) == levels


def test_where_little_is_played_in_a_minute_all_of_it_says_how_loud() -> None:
    starts = np.arange(60) * 6_000_000
    slow = performance_to_midi(Performance(note_array(starts, starts + 500_000, [60], [80])))
    file = parse_midi(slow, name="slow.mid")
    window = Window(from_us=0, to_us=file.performance.end_us)
    assert opening_as_written(EMPTY_OPENING, file, window, SamplingOptions()).levels == (80,)


def opening(*, has_grid: bool = False, levels: tuple[int, ...] = ()) -> Opening:
    tempo_map = TempoMap.from_changes(480, [(0, 500_000)])
    grid = Grid(
        tempo_map=tempo_map,
        lines_per_quarter=4,
        offset=0,
        share=(1.0,),
        first_line=0,
        bar_tick=0,
        ticks_per_bar=1920,
    )
    return Opening(
        tokens=EMPTY_OPENING.tokens,
        sounding={},
        velocity_bin=None,
        grid=StepGrid(grid=grid, from_us=1_000_000) if has_grid else None,
        levels=levels,
    )


def played(*notes: tuple[int, int]) -> Performance:
    starts, ends = zip(*notes, strict=True)
    return Performance(note_array(starts, ends, np.arange(60, 60 + len(notes)), [50] * len(notes)))


def test_music_without_a_grid_and_levels_is_as_it_was() -> None:
    notes = played((10_000, 130_000), (260_000, 300_000))
    assert (exactly_as_written(notes, opening()).notes == notes.notes).all()


def test_notes_are_at_the_lines_that_they_are_about() -> None:
    notes = played((10_000, 130_000), (110_000, 120_000), (260_000, 330_000), (375_000, 380_000))
    found = exactly_as_written(notes, opening(has_grid=True)).notes
    assert found["start_us"].tolist() == [0, 125_000, 250_000, 375_000]
    # A note that would have no length ends at the next line, and at latest when all music does;
    # what ends between lines stays.
    assert found["end_us"].tolist() == [125_000, 250_000, 330_000, 385_000]


def test_a_key_struck_on_both_sides_of_a_line_is_struck_once() -> None:
    twice = note_array([105_000, 135_000, 135_000], [115_000, 410_000, 140_000], [60, 60, 61], 50)
    found = exactly_as_written(Performance(twice), opening(has_grid=True)).notes
    assert found[["start_us", "end_us", "pitch"]].tolist() == [
        (125_000, 410_000, 60),
        (125_000, 250_000, 61),
    ]


def test_velocities_are_the_nearest_of_the_levels() -> None:
    notes = played(*[(i, i + 9) for i in range(4)]).notes.copy()
    notes["velocity"] = [2, 59, 61, 126]
    found = exactly_as_written(Performance(notes), opening(levels=(40, 80)))
    assert found.notes["velocity"].tolist() == [40, 40, 80, 80]


def test_two_levels_that_lie_four_apart_are_told_from_each_other() -> None:
    loud = [MAESTRO.midi_velocity((velocity - 1) // 4 + 1) for velocity in (60, 64, 68)]
    starts = np.arange(3) * 500_000
    music = Performance(note_array(starts, starts + 400_000, [60] * 3, loud))
    found = exactly_as_written(music, opening(levels=(60, 64, 68)))
    assert found.notes["velocity"].tolist() == [60, 64, 68]
