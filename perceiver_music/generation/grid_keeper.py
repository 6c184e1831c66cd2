"""Keeping to the grid of a quantized primer.

What was written by a notation program or a sequencer begins at lines of a grid, and at some lines
of a bar more often than at others. A model that was taught by pianists leaves the grid with its
first note, and its music is of no use beside such a file. So a time that ends near a line ends at
it, or just after the last; a key that the model would strike elsewhere waits for the next line; and
where seldom anything begins, most keys wait for a later one. Then it goes on in the rhythm that it
hears (docs/lab-book.md has counts). What is about a line, as the notes of a chord and the keys let
go before them, stays as it is; in what is written it is at the line. Nothing is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import Grammar
from perceiver_music.music.grid import Grid
from perceiver_music.tokenizer import vocabulary as v

Steps = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Nats = npt.NDArray[np.float64]

ABOUT_STEPS: Final = 2
"""So near to a line is about it."""
NEAR_STEPS: Final = 12
"""So near to a line a time ends at it; where lines are further apart, between them at any time."""
_STRENGTH = 0.7
"""Of how seldom something begins at a line of the primer, what counts; all would be too strict."""
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

    def nearest(self, steps: Steps) -> tuple[Steps, Shares]:
        """The step of the line nearest to each step, and how often something begins there.

        A line in the primer is at a step below 0. See `Grid.share`.
        """
        per_step = v.MICROSECONDS_PER_STEP
        lines, share = self.grid.nearest_and_share(self.from_us + steps * per_step)
        return (lines - self.from_us + per_step // 2) // per_step, share

    def again(self, was: int, end: int, now: int) -> int | None:
        """The first step from `now` on at which bars lie as at an earlier one; see `again_us`."""
        per_step = v.MICROSECONDS_PER_STEP
        found = self.grid.again_us(*(self.from_us + step * per_step for step in (was, end, now)))
        return None if found is None else -((self.from_us - found) // per_step)

    def nearest_us(self, us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The line nearest to each moment of the new music, none of which lies before it."""
        lines = self.grid.nearest_us(self.from_us + us) - self.from_us
        return np.where(lines >= 0, lines, us)

    def after_nearest_us(self, us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The line after the nearest one."""
        return self.grid.after_nearest_us(self.from_us + us) - self.from_us


@dataclass(frozen=True, kw_only=True)
class _Now:
    """What is to be known at one step, for all events that come there.

    Attributes:
        step: now.
        waited: steps of the next time that lie before now.
        lines: how far ahead the line nearest to each step is, from now on.
        times: for each time, the one that it becomes.
        stays: nats: of keys that might be struck now, the share that is.
        waiting: nats: for each time, the share that is struck after it; empty if all is now.
    """

    step: int
    waited: int
    lines: Steps
    times: Steps
    stays: float
    waiting: Nats

    def is_here(self, onset: int) -> bool:
        """Whether a key that was struck then was struck about the line that now is about."""
        line = int(self.lines[0])
        is_about = abs(line) <= ABOUT_STEPS
        return is_about and onset >= 0 and abs(self.step + line - onset) <= ABOUT_STEPS


class GridKeeper:
    """Makes keys be struck about lines.

    Args:
        grid: None leaves everything as it is.
        vocabulary: of the predictions.
    """

    def __init__(self, grid: StepGrid | None, vocabulary: v.Vocabulary = v.MAESTRO) -> None:
        self._grid = grid
        first = vocabulary.first_id["VELOCITY"]
        self._is_strike = np.zeros(vocabulary.size, dtype=np.bool_)
        self._is_strike[v.NOTE_ON : v.NOTE_OFF] = True
        self._is_strike[first : first + vocabulary.num_velocities] = True
        self._first = 0
        self._nearest: Steps = np.empty(0, dtype=np.int64)
        self._stays: Shares = np.empty(0)
        self._now: _Now | None = None

    def adjusted(
        self,
        logits: npt.NDArray[np.floating],
        allowed: npt.NDArray[np.bool_],
        grammar: Grammar,
        waited: int = 0,
    ) -> npt.NDArray[np.floating]:
        """Logits `[vocabulary]` with keys struck about lines.

        Args:
            logits: of what comes next.
            allowed: which ids may come next.
            grammar: where the music stands, and which keys sound.
            waited: steps of the next time that lie before now.
        """
        if self._grid is None:
            return logits
        now = self._now
        if now is None or (now.step, now.waited) != (grammar.step, waited):
            now = self._now = self._at(self._grid, grammar.step, waited)
        here = [pitch for pitch, onset in grammar.onset_step.items() if now.is_here(onset)]
        times = _moved(logits[_TIMES], now.times)
        changed = logits.copy()
        # Where one key of a chord is struck, all may be.
        if len(now.waiting) and not here:
            strikes = np.flatnonzero(allowed & self._is_strike[: len(allowed)])
            if len(strikes):
                struck = np.logaddexp.reduce(logits[strikes].astype(np.float64))
                times = np.logaddexp(times, struck + now.waiting)
                changed[strikes] += max(UNLIKELY, now.stays)
        last = _last_before(grammar.longest_time, now.lines)
        changed[_TIMES] = np.maximum(_cut(times, last, waited), UNLIKELY)
        # A key is not let go about the line at which it is struck, to be struck there again.
        changed[[v.NOTE_OFF + pitch for pitch in here]] = UNLIKELY
        return changed

    def _at(self, grid: StepGrid, step: int, waited: int) -> _Now:
        lines, stays = self._ahead(grid, step)
        ends = np.maximum(np.arange(1, _LONGEST + 1) - waited, 0)
        times = np.minimum(_aims(lines)[ends] + waited, _LONGEST)
        times[-1] = _LONGEST  # another time follows it, which ends about a line
        waiting = np.empty(0)
        if stays[0] < 1.0:
            waiting = (_log(1.0 - stays[0]) + _log(_struck_later(lines, stays)))[ends]
        return _Now(
            step=step,
            waited=waited,
            lines=lines,
            times=times,
            stays=float(_log(stays[0])),
            waiting=waiting,
        )

    def _ahead(self, grid: StepGrid, step: int) -> tuple[Steps, Shares]:
        """For each step from now on: how far ahead its line is, and which share of keys stays.

        That is, of those that might be struck there; of others none.
        """
        if not self._first <= step <= self._first + len(self._nearest) - _LONGEST - 1:
            self._first = step
            steps = step + np.arange(_STEPS_AT_ONCE)
            self._nearest, share = grid.nearest(steps)
            is_about = (np.abs(self._nearest - steps) <= ABOUT_STEPS) & (self._nearest >= 0)
            self._stays = np.where(is_about, np.minimum(share, 1.0) ** _STRENGTH, 0.0)
        begin = step - self._first
        ahead = slice(begin, begin + _LONGEST + 1)
        return self._nearest[ahead] - step, self._stays[ahead]


def _aims(lines: Steps) -> Steps:
    """For each step from now on, where a time that would end there ends.

    Args:
        lines: the line nearest to each step, from now.
    """
    steps = np.arange(len(lines))
    off = np.abs(lines - steps)
    just_after = lines + ABOUT_STEPS
    is_moved = (off > ABOUT_STEPS) & (off <= NEAR_STEPS) & ((lines > 0) | (just_after > 0))
    return np.where(is_moved, np.where(lines > 0, lines, just_after), steps)


def _last_before(longest: int, lines: Steps) -> int | None:
    """How far ahead the last line is before something must happen, if that is soon.

    Args:
        longest: steps after which it must.
        lines: the line nearest to each step, from now.
    """
    if longest > 2 * _LONGEST:
        return None
    all_lines = np.unique(lines)
    apart = int(np.diff(all_lines).min(initial=_LONGEST))
    ahead = all_lines[(all_lines > 0) & (all_lines <= longest)]
    if longest <= _LONGEST + apart and len(ahead):
        return int(ahead[-1])
    is_about_line = abs(int(lines[0])) <= ABOUT_STEPS
    return 0 if longest <= _LONGEST and is_about_line else None


def _struck_later(lines: Steps, stays: Shares) -> Shares:
    """For each step from now on, the share of keys not struck now that is struck there.

    Args:
        lines: the line nearest to each step, from now.
        stays: which share of keys that might be struck there is.
    """
    shares = np.zeros(len(lines))
    left = 1.0
    here = lines[0] if abs(int(lines[0])) <= ABOUT_STEPS else 0
    for line in np.unique(lines[(lines > max(0, here)) & (lines < _LONGEST)]):
        shares[line] = left * stays[line]
        left -= shares[line]
    shares[_LONGEST] = left
    return shares


def _cut(scores: Nats, last: int | None, waited: int) -> Nats:
    """Scores of times of which none ends after a line; what those had goes to that line."""
    if last is None or last + waited >= _LONGEST:
        return scores
    scores = scores.copy()
    if last + waited > 0:
        scores[last + waited - 1] = np.logaddexp.reduce(scores[last + waited - 1 :])
    scores[last + waited :] = UNLIKELY
    return scores


def _moved(scores: npt.NDArray[np.floating], times: Steps) -> Nats:
    """Scores `[longest]` of times, each of which becomes another."""
    highest = float(scores.max())
    weights = np.bincount(times, np.exp(scores - highest, dtype=np.float64), _LONGEST + 1)[1:]
    return np.asarray(np.maximum(_log(weights) + highest, UNLIKELY))


def _log(share: npt.ArrayLike) -> Nats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(share))
