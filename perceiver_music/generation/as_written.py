"""Music that goes on from what a notation program or a sequencer wrote: on its grid, as loud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.grid_keeper import GridKeeper, StepGrid
from perceiver_music.generation.levels import LevelKeeper, few_levels
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening, Window
from perceiver_music.music.grid import HEARD_US, grid_of
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import Performance


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
    grid, levels = None, {}
    if sampling.keep_grid:
        found = grid_of(file, window.from_us, window.to_us)
        grid = None if found is None else StepGrid(grid=found, from_us=window.to_us)
    if sampling.keep_levels:
        notes = file.performance.notes
        begin = max(window.from_us, window.to_us - HEARD_US)
        is_heard = (notes["start_us"] >= begin) & (notes["start_us"] < window.to_us)
        levels = few_levels(notes["velocity"][is_heard].tolist(), opening.vocabulary)
    return replace(opening, grid=grid, levels=levels)


class AsWritten:
    """Bends predictions so that music stays on its primer's grid and at its velocities."""

    def __init__(self, opening: Opening) -> None:
        self._grid = GridKeeper(opening.grid, opening.vocabulary)
        self._levels = LevelKeeper(opening.levels, opening.vocabulary)

    def adjusted(
        self,
        logits: npt.NDArray[np.floating],
        allowed: npt.NDArray[np.bool_],
        grammar: Grammar,
        waited: int,
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` of what comes next, where it is as written.

        Args:
            logits: the prediction.
            allowed: which ids may come next.
            grammar: where the music stands.
            waited: steps of the next time that lie before now.
        """
        logits = self._grid.adjusted(logits, grammar.step, waited, grammar.longest_time)
        return self._levels.adjusted(logits, allowed, grammar.velocity_bin)


def exactly_as_written(performance: Performance, opening: Opening) -> Performance:
    """New music, decoded from events, with the exact moments and velocities of its primer.

    Events know time by ten milliseconds and velocities by bins of four.
    """
    notes = performance.notes.copy()
    if opening.grid is not None:
        grid = opening.grid
        notes["start_us"] = grid.nearest_us(notes["start_us"])
        ends = grid.nearest_us(notes["end_us"])
        notes["end_us"] = np.where(ends > notes["start_us"], ends, notes["end_us"])
    if opening.levels:
        table = np.arange(128, dtype=np.uint8)
        for value, velocity in opening.levels.items():
            table[opening.vocabulary.midi_velocity(value)] = velocity
        notes["velocity"] = table[notes["velocity"]]
    return replace(performance, notes=notes)
