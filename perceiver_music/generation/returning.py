"""Coming back: now and then new music plays again what was played before.

Pianists return: a phrase, a theme, a whole part comes again after a minute or two. A network of
some thousand events' reach could do so, too, but ours hardly ever does (docs/lab-book.md has
counts). So a phrase is brought back now and then: where the music takes a breath, and its first
key is one that the network might strike there. Then its keys are due as they were, one after the
other, as long and as loud apart; the network lets them go as it would, and goes on from there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import beside
from perceiver_music.tokenizer import vocabulary as v

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OWN_SECONDS: Final = 20
"""So long the music goes its own way, at least, before it returns, and before it does again."""
AGO_SECONDS: Final = 40
"""What was played since then is not over yet."""
SHORTEST_SECONDS, LONGEST_SECONDS = 5, 20
"""Of what comes back."""
MEAN_SECONDS: Final = 60
"""From when it may return on, until it does, on average (docs/lab-book.md)."""
LATEST_RETURN: Final = 0.8
"""Of the way to where the music is to end, up to which it may."""

_CHORD_STEPS = 4
"""Keys that are struck within so short a time are struck together."""
_BREATH = 1.5
"""So many times the median of the waits before it, a wait begins a phrase."""
_NUM_WAITS = 12
_SHORTEST_BREATH_STEPS = 15
_OPENING_SHARE = 0.5
"""How often it is the very beginning that comes back: a theme, most of the time."""
_LEAST_FIT = 0.01

_STRIKES = slice(v.NOTE_ON, v.NOTE_OFF)
_RELEASES = slice(v.NOTE_OFF, v.TIME_SHIFT)
_TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)


class Return(NamedTuple):
    """A passage that came back, in steps from where the new music begins.

    Attributes:
        step: when.
        from_step: when it was played before; below 0 in the primer.
    """

    step: int
    from_step: int


class _Note(NamedTuple):
    step: int
    pitch: int
    velocity: int
    """The event that says it."""


class Returns:
    """Listens to every event; `narrowed` leaves what a passage that comes back has next.

    Args:
        tokens: what the model has been given.
        vocabulary: whose events they are.
        rng: its own random numbers; None where nothing is to come back.
        grid: in whose bars what comes back is to lie as it did.

    Attributes:
        made: those so far.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        vocabulary: v.Vocabulary = v.MAESTRO,
        rng: np.random.Generator | None = None,
        grid: StepGrid | None = None,
    ) -> None:
        first = vocabulary.first_id["VELOCITY"]
        self._velocities = range(first, first + vocabulary.num_velocities)
        self._specials = vocabulary.num_event_ids
        self._rng, self._grid = rng, grid
        self.made: list[Return] = []
        self._step, self._velocity = 0, first
        self._notes: list[_Note] = []
        self._waits: deque[int] = deque(maxlen=_NUM_WAITS)
        self._breath = math.inf
        """A wait of so many steps begins a phrase."""
        self._begins: list[int] = []
        """Numbers of the notes that begin phrases."""
        self._due: deque[_Note] = deque()
        self._later = self._starts = 0
        """Steps from when a passage was played to when it is played again, and that step."""
        self._coming: Return | None = None
        self._may_since = 0
        for token in tokens if rng is not None else ():
            self.take(token)
        self._begun = self._step
        self._stay_away()

    @classmethod
    def after(
        cls, opening: Opening, sampling: SamplingOptions, rng: np.random.Generator
    ) -> Returns:
        """Those of new music after an opening."""
        is_wanted = sampling.come_back and not sampling.is_greedy and not opening.is_of_gap
        own_rng = beside(rng) if is_wanted else None
        return cls(opening.before, opening.vocabulary, own_rng, opening.grid)

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._rng is None:
            return
        if v.TIME_SHIFT <= token < v.VELOCITY:
            self._step += token - v.TIME_SHIFT + 1
        elif token in self._velocities:
            self._velocity = token
        elif v.NOTE_ON <= token < v.NOTE_OFF:
            self._strike(token - v.NOTE_ON)

    def _strike(self, pitch: int) -> None:
        wait = self._wait
        if not self._notes or wait >= self._breath:
            self._begins.append(len(self._notes))
        if self._notes and wait > _CHORD_STEPS:
            self._waits.append(wait)
            if len(self._waits) == _NUM_WAITS:
                typical = sorted(self._waits)[_NUM_WAITS // 2]
                self._breath = max(_SHORTEST_BREATH_STEPS, _BREATH * typical)
        self._notes.append(_Note(self._step, pitch, self._velocity))
        if self._due and pitch == self._due[0].pitch:
            self._due.popleft()
            self._stay_away()
            if self._coming is not None:
                self.made.append(self._coming)
                self._coming = None

    @property
    def _wait(self) -> int:
        return self._step - self._notes[-1].step if self._notes else 0

    def _stay_away(self) -> None:
        self._may_since = self._step + OWN_SECONDS * v.STEPS_PER_SECOND

    def narrowed(self, allowed: Mask, logits: npt.NDArray[np.floating], *, has_room: bool) -> Mask:
        """Of the ids that may come next, `[vocabulary]`, those that may while a passage is back.

        Args:
            allowed: by the grammar; never none.
            logits: the prediction.
            has_room: whether there is time left to return.
        """
        if has_room and not self._due and self._is_time():
            self._return(logits)
        while self._due and not _is_release_due(allowed):
            left = self._left(self._due[0], allowed)
            if left.any():
                return left
            self._due.popleft()  # its key is not to be had now
        return allowed

    def _is_time(self) -> bool:
        """Whether to return now: at a breath, the likelier, the longer ago it was asked before."""
        if self._rng is None or self._step <= self._may_since or self._wait < self._breath:
            return False
        seconds = (self._step - self._may_since) / v.STEPS_PER_SECOND
        self._may_since = self._step
        return self._rng.random() >= math.exp(-seconds / MEAN_SECONDS)

    def _return(self, logits: npt.NDArray[np.floating]) -> None:
        """Choose a phrase, and make its notes due from now on."""
        assert self._rng is not None
        over = self._step - AGO_SECONDS * v.STEPS_PER_SECOND
        begins = [begin for begin in self._begins if self._notes[begin].step < over]
        if not begins:
            return
        fits = self._fits(begins, logits)
        begin = begins[int(self._rng.choice(len(begins), p=fits / fits.sum()))]
        passage = self._notes[begin : self._end_of(begin)]
        was, end = (note.step - self._begun for note in (passage[0], passage[-1]))
        starts: int | None = self._step - self._begun
        if self._grid is not None:
            starts = self._grid.again(was, end, self._step - self._begun)
        if starts is not None:
            self._due, self._later, self._starts = (
                deque(passage),
                starts - was,
                starts + self._begun,
            )
            self._coming = Return(step=starts, from_step=was)

    def _fits(self, begins: Sequence[int], logits: npt.NDArray[np.floating]) -> Floats:
        """How likely the network finds the first key of each phrase now, the opening apart."""
        struck = logits[v.NOTE_ON : v.NOTE_OFF].astype(np.float64)
        keys = [self._notes[begin].pitch for begin in begins]
        fits = np.exp(struck[keys] - np.logaddexp.reduce(struck)) + _LEAST_FIT
        if len(begins) > 1:
            fits[0] *= _OPENING_SHARE / (1.0 - _OPENING_SHARE) * (len(begins) - 1)
        return np.asarray(fits)

    def _end_of(self, begin: int) -> int:
        """The number of the note that comes back no more."""
        assert self._rng is not None
        start = self._notes[begin].step
        soonest = start + SHORTEST_SECONDS * v.STEPS_PER_SECOND
        latest = start + LONGEST_SECONDS * v.STEPS_PER_SECOND
        ends = [end for end in self._begins if soonest <= self._notes[end].step <= latest]
        if ends:
            return int(self._rng.choice(ends))
        middle = (soonest + latest) // 2
        return bisect_left(self._notes, middle, key=lambda note: note.step)

    def _left(self, note: _Note, allowed: Mask) -> Mask:
        wait = note.step + self._later - self._step
        if self._step < self._starts:
            return _before(wait, allowed)
        if wait > 0:
            left = self._waiting(wait, allowed)
            if left.any():
                return left
            self._later -= wait  # so long nothing may wait now
        return self._striking(note, allowed)

    def _waiting(self, wait: int, allowed: Mask) -> Mask:
        """What may come so many steps before the next key is due: releases, and time up to then."""
        left = _before(wait, allowed)
        left[_STRIKES] = False
        left[self._velocities.start : self._velocities.stop] = False
        left[self._specials :] = False
        times = left[_TIMES]
        if times.any() and not left[_RELEASES].any():
            # After a time that is not the longest comes an event, and there would be none.
            times[: int(np.flatnonzero(times)[-1])] = False
        return left

    def _striking(self, note: _Note, allowed: Mask) -> Mask:
        """The one event that comes next on the way to a note; none if its key is not to be had."""
        left = np.zeros_like(allowed)
        if allowed[v.NOTE_OFF + note.pitch]:
            left[v.NOTE_OFF + note.pitch] = True
        elif allowed[v.NOTE_ON + note.pitch]:
            is_to_be_said = note.velocity != self._velocity and allowed[note.velocity]
            left[note.velocity if is_to_be_said else v.NOTE_ON + note.pitch] = True
        return left


def _before(steps: int, allowed: Mask) -> Mask:
    """What is allowed, but no time beyond so many steps."""
    left = allowed.copy()
    left[_TIMES][steps:] = False
    return left


def _is_release_due(allowed: Mask) -> bool:
    return not allowed[_STRIKES].any() and not allowed[_TIMES].any()
