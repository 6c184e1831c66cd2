"""Music that goes on from what a notation program or a sequencer wrote: on its grid, as loud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening, Window
from perceiver_music.music.grid import HEARD_US, grid_of
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import NoteArray, Performance

NOTES_FOR_EACH: Final = 12
"""So many notes there must be for each velocity; pianists have another for every third."""
MOST_LEVELS: Final = 8
_SHORTEST_US: Final = 10_000


def opening_as_written(
    opening: Opening, file: MidiFile, window: Window, sampling: SamplingOptions
) -> Opening:
    """The opening with the grid and the velocities that new music keeps to, if there are such.

    Args:
        opening: of the window; of a gap, too.
        file: the primer.
        window: the part of it that says how it was written; new music begins where it ends.
        sampling: whether they are kept.
    """
    grid = grid_of(file, window.from_us, window.to_us) if sampling.keep_grid else None
    levels = levels_of(file, window) if sampling.keep_levels else ()
    steps = None if grid is None else StepGrid(grid=grid, from_us=window.to_us)
    return replace(opening, grid=steps, levels=levels)


def levels_of(file: MidiFile, window: Window) -> tuple[int, ...]:
    """The velocities of a file that has few in the last minute of a window; else none."""
    notes = file.performance.notes
    begin = max(window.from_us, window.to_us - HEARD_US)
    is_heard = (notes["start_us"] >= begin) & (notes["start_us"] < window.to_us)
    return few_levels(notes["velocity"][is_heard].tolist())


def few_levels(velocities: Sequence[int]) -> tuple[int, ...]:
    """The different velocities, rising, if they are few for so many notes; else none."""
    levels = tuple(sorted(set(velocities)))
    return levels if len(levels) <= min(MOST_LEVELS, len(velocities) // NOTES_FOR_EACH) else ()


def exactly_as_written(performance: Performance, opening: Opening) -> Performance:
    """New music, decoded from events, at the lines and the velocities of its primer.

    The model plays about the lines and with any touch, as those who taught it did.
    """
    notes = performance.notes.copy()
    if opening.grid is not None:
        _move_to_lines(notes, opening.grid)
    if opening.levels:
        levels = np.array(opening.levels)
        off = np.abs(np.arange(128)[:, None] - levels)
        notes["velocity"] = levels[off.argmin(axis=1)][notes["velocity"]]
    return replace(performance, notes=notes)


def _move_to_lines(notes: NoteArray, grid: StepGrid) -> None:
    notes["start_us"] = grid.nearest_us(notes["start_us"])
    ends = grid.nearest_us(notes["end_us"])
    ends = np.where(ends > notes["start_us"], ends, notes["end_us"])
    notes["end_us"] = np.maximum(ends, notes["start_us"] + _SHORTEST_US)
