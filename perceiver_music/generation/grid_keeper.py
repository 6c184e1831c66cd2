"""Keeping to the grid of a quantized primer.

What was written by a notation program or a sequencer begins at lines of a grid, and at some lines
of a bar more often than at others. A model that was taught by pianists leaves the grid with its
first note, and its music is of no use beside such a file; where all its times are made to end at
lines, it goes on in them (docs/lab-book.md has counts). What the model gives to a time goes to the
line that is nearest to where it ends; times that would end nearer to now than to any other line are
no time at all, as the few steps between the notes of a chord. Then lines at which more begins
become likelier. How likely it is that time passes stays as it was. Between lines, where a key that
the primer holds may be let go, none is struck. Nothing is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.grid import Grid
from perceiver_music.tokenizer import vocabulary as v

Steps = npt.NDArray[np.int64]
Nats = npt.NDArray[np.float64]

UNLIKELY: Final = -1e4
"""Nats; a prediction must be finite."""
_LONGEST = v.MAX_SHIFT_STEPS
_STEPS_AT_ONCE: Final = 2048
_TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + _LONGEST)


@dataclass(frozen=True, kw_only=True)
class StepGrid:
    """A file's grid as new music counts its steps.

    Attributes:
        grid: in microseconds of the file.
        from_us: where the new music begins.
    """

    grid: Grid
    from_us: int

    def nearest(self, steps: Steps) -> tuple[Steps, Nats]:
        """The step of the line nearest to each step, and that line's emphasis.

        A line in the primer is at a step below 0.
        """
        per_step = v.MICROSECONDS_PER_STEP
        lines, emphasis = self.grid.nearest_with_emphasis(self.from_us + steps * per_step)
        return (lines - self.from_us + per_step // 2) // per_step, emphasis

    def nearest_us(self, us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Moments of the new music; those no more than a step from a line are moved there."""
        lines = self.grid.nearest_us(self.from_us + us) - self.from_us
        is_near = (np.abs(lines - us) <= v.MICROSECONDS_PER_STEP) & (lines >= 0)
        return np.where(is_near, lines, us)


class GridKeeper:
    """Makes every time end at a line.

    Args:
        grid: None leaves everything as it is.
        vocabulary: of the predictions.
    """

    def __init__(self, grid: StepGrid | None, vocabulary: v.Vocabulary = v.MAESTRO) -> None:
        self._grid = grid
        first = vocabulary.first_id["VELOCITY"]
        self._velocities = slice(first, first + vocabulary.num_velocities)
        self._first = 0
        self._nearest: Steps = np.empty(0, dtype=np.int64)
        self._emphasis: Nats = np.empty(0)

    def adjusted(
        self,
        logits: npt.NDArray[np.floating],
        step: int,
        waited: int,
        longest: int = _LONGEST + 1,
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with those of times moved to times that end at a line.

        Args:
            logits: of what comes next.
            step: now.
            waited: steps of the next time that lie before now.
            longest: steps after which a key must be struck, which is not to be between lines.
        """
        if self._grid is None:
            return logits
        lines, emphasis = self._ahead(self._grid, step)
        ends = np.maximum(np.arange(1, _LONGEST + 1) - waited, 0)
        changed = logits.copy()
        changed[_TIMES] = _emphasized(
            _at_lines(logits[_TIMES], _aims(lines, ends), waited), emphasis[ends]
        )
        within = lines[(lines >= 0) & (lines <= max(0, longest))]
        if longest <= _LONGEST and len(within):
            changed[v.TIME_SHIFT + int(within.max()) + waited : _TIMES.stop] = UNLIKELY
        if lines[0] != 0:
            changed[v.NOTE_ON : v.NOTE_OFF] += UNLIKELY
            changed[self._velocities] += UNLIKELY
        return changed

    def _ahead(self, grid: StepGrid, step: int) -> tuple[Steps, Nats]:
        """How far ahead the line nearest to each step is, from now on, and its emphasis."""
        if not self._first <= step <= self._first + len(self._nearest) - _LONGEST - 1:
            self._first = step
            self._nearest, self._emphasis = grid.nearest(step + np.arange(_STEPS_AT_ONCE))
        begin = step - self._first
        ahead = slice(begin, begin + _LONGEST + 1)
        return self._nearest[ahead] - step, self._emphasis[ahead]


def _aims(lines: Steps, ends: Steps) -> Steps:
    """For each end of a time, the step of its line; no line that lies behind now is any.

    Args:
        lines: `[1 + longest]`: the line nearest to now and to each later step, from now.
        ends: `[longest]`, from now.
    """
    aims = lines[ends]
    is_behind = (aims < 0) | ((aims == 0) & (lines[0] != 0))
    ahead = lines[lines > 0]
    aims[is_behind] = ahead[0] if len(ahead) else _LONGEST
    return aims


def _at_lines(scores: npt.NDArray[np.floating], aims: Steps, waited: int) -> Nats:
    """Scores of times of 1 step and more, of which none but the longest ends between lines."""
    times = np.minimum(aims + waited, _LONGEST)
    times[-1] = _LONGEST  # another time follows it, and ends at a line
    highest = float(scores.max())
    weights = np.bincount(times, np.exp(scores - highest, dtype=np.float64), _LONGEST + 1)[1:]
    found = np.full(_LONGEST, UNLIKELY)
    is_there = weights > 0.0
    found[is_there] = np.log(weights[is_there]) + highest
    return found


def _emphasized(scores: Nats, emphasis: Nats) -> Nats:
    """Scores of times that end at lines; the longest one's end is none."""
    before = np.logaddexp.reduce(scores)
    scores[:-1] += emphasis[:-1]
    return scores + (before - np.logaddexp.reduce(scores))
