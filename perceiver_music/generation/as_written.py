"""Music that goes on from what a notation program or a sequencer wrote: on its grid, as loud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.growth import Continuation
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening, Window
from perceiver_music.music.grid import HEARD_US, grid_of
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import NoteArray, Performance
from perceiver_music.tokenizer import pedal_events, performance_events
from perceiver_music.tokenizer.vocabulary import VELOCITY

NOTES_FOR_EACH: Final = 12
"""So many notes there are for each velocity on average; pianists have another for every third."""
FEWEST_OF_EACH: Final = 6
"""A velocity of fewer is an exception."""
MOST_LEVELS: Final = 8
_ABOUT_US: Final = 30_000
_SHORTEST_US: Final = 10_000
_MIDDLE = 0.5
"""Of four velocities that one event stands for, the middle lies behind the one that it is given."""


def opening_as_written(
    opening: Opening,
    file: MidiFile,
    window: Window,
    sampling: SamplingOptions,
    *,
    after_us: int | None = None,
) -> Opening:
    """The opening with the grid and the velocities that new music keeps to, if there are such.

    Args:
        opening: of the window; of a gap, too.
        file: the primer.
        window: the part of it that says how it was written; new music begins where it ends.
        sampling: whether they are kept.
        after_us: where the music goes on behind a gap, which says it, too; and there, the tempi
            are the file's.
    """
    grid = None
    if sampling.keep_grid:
        grid = grid_of(file, window.from_us, window.to_us, after_us)
    if grid is not None and after_us is None:
        grid = grid.keeping_tempo(window.to_us)
    return replace(
        opening,
        grid=None if grid is None else StepGrid(grid=grid, from_us=window.to_us),
        levels=_levels_of(file, window, after_us) if sampling.keep_levels else (),
    )


def _levels_of(file: MidiFile, window: Window, after_us: int | None) -> tuple[int, ...]:
    """The velocities of the last minute of a window and the first behind a gap, if few."""
    notes = file.performance.notes
    starts = notes["start_us"]
    is_inside = (starts >= window.from_us) & (starts < window.to_us)
    is_heard = is_inside & (starts >= window.to_us - HEARD_US)
    if np.count_nonzero(is_heard) < NOTES_FOR_EACH:
        is_heard = is_inside
    if after_us is not None:
        is_heard |= (starts >= after_us) & (starts < after_us + HEARD_US)
    return few_levels(notes["velocity"][is_heard].tolist())


def few_levels(velocities: Sequence[int]) -> tuple[int, ...]:
    """The different velocities, rising, if they are few for so many notes; else none."""
    counts = Counter(velocities)
    if len(counts) > min(MOST_LEVELS, len(velocities) // NOTES_FOR_EACH):
        return ()
    return tuple(sorted(level for level in counts if counts[level] >= FEWEST_OF_EACH))


def performance_of(music: Continuation, opening: Opening) -> Performance:
    """The new notes, and the pedal where it is played too, counted from where they begin."""
    in_force = [] if opening.velocity_bin is None else [VELOCITY + opening.velocity_bin]
    if opening.pedal is not None and opening.pedal.value:
        in_force.append(pedal_events.PEDAL + opening.pedal.value)
    tokens = np.array(in_force + music.ids + music.closing, dtype=np.uint16)
    events = performance_events if opening.pedal is None else pedal_events
    return exactly_as_written(events.decode(tokens), opening)


def exactly_as_written(performance: Performance, opening: Opening) -> Performance:
    """New music, decoded from events, at the lines and the velocities of its primer.

    The model plays about the lines and with any touch, as those who taught it did.
    """
    notes = performance.notes.copy()
    if opening.grid is not None:
        notes = _move_to_lines(notes, opening.grid)
    if opening.levels:
        levels = np.array(opening.levels)
        off = np.abs(np.arange(128)[:, None] + _MIDDLE - levels)
        notes["velocity"] = levels[off.argmin(axis=1)][notes["velocity"]]
    return replace(performance, notes=notes)


def _move_to_lines(notes: NoteArray, grid: StepGrid) -> NoteArray:
    """Notes that begin at lines, and end there where they end about one; no key struck twice."""
    last_us = notes["end_us"].max(initial=0)
    after = np.minimum(grid.after_nearest_us(notes["start_us"]), last_us)
    notes["start_us"] = grid.nearest_us(notes["start_us"])
    lines = np.minimum(grid.nearest_us(notes["end_us"]), last_us)
    is_about = np.abs(lines - notes["end_us"]) <= _ABOUT_US
    # What ends at its own line would be a blip: it ends at the next one.
    ends = np.where(is_about, np.where(lines > notes["start_us"], lines, after), notes["end_us"])
    notes["end_us"] = np.maximum(ends, notes["start_us"] + _SHORTEST_US)
    # Of keys struck just before a line and again just after it, the second sounds on.
    order = np.lexsort((-notes["end_us"], notes["pitch"], notes["start_us"]))
    notes = notes[order]
    again = np.diff(notes["start_us"], prepend=-1) == 0
    again &= np.diff(notes["pitch"].astype(np.int64), prepend=-1) == 0
    return np.asarray(notes[~again])
