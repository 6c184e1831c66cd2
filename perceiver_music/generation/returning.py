"""Coming back: now and then new music plays again what was played before.

Pianists return: a phrase, a theme, a whole part comes again after a minute or two. A network of
some thousand events' reach could do so, too, but ours hardly ever does (docs/lab-book.md has
counts). So a phrase is brought back now and then: where the music takes a breath, and its first
key is one that the network might strike there. Then it is played as it was, and the network goes on
from there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.phrases import Heard
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
FEWEST_KEYS: Final = 4
"""A key struck in a silence is no phrase."""
MEAN_SECONDS: Final = 60
"""From when it may return on, until it does, on average (docs/lab-book.md)."""
LATEST_RETURN: Final = 0.8
"""Of the way to where the music is to end, up to which it may."""

_OPENING_SHARE = 0.5
"""How often it is the very beginning that comes back: a theme, most of the time."""
_LEAST_FIT = 0.01

_STRIKES = slice(v.NOTE_ON, v.NOTE_OFF)
_TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)


class Return(NamedTuple):
    """A passage that came back, in steps from where the new music begins.

    Attributes:
        step: when.
        from_step: when it was played before; below 0 in the primer.
    """

    step: int
    from_step: int


class _Due(NamedTuple):
    """A key that is struck or, without a velocity, let go; sorted, releases come first."""

    step: int
    velocity: int
    pitch: int

    @property
    def event(self) -> int:
        """The event that it is."""
        return (v.NOTE_ON if self.velocity else v.NOTE_OFF) + self.pitch


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
        self._rng, self._grid = rng, grid
        self.made: list[Return] = []
        self._heard = Heard(tokens if rng is not None else (), vocabulary)
        self._due: deque[_Due] = deque()
        self._first_back = 0
        """The number of the first note that is played again."""
        self._later = self._starts = 0
        """Steps from when a passage was played to when it is played again, and that step."""
        self._coming: Return | None = None
        self._begun = self._heard.step
        self._may_since = 0
        self._stay_away()

    @classmethod
    def after(
        cls, opening: Opening, sampling: SamplingOptions, rng: np.random.Generator
    ) -> Returns:
        """Those of new music after an opening."""
        is_wanted = sampling.come_back and not sampling.is_greedy
        is_possible = not opening.is_of_gap and opening.pedal is None  # pedal moves are not kept
        own_rng = beside(rng) if is_wanted and is_possible else None
        return cls(opening.before, opening.vocabulary, own_rng, opening.grid)

    def branch(self) -> Self:
        """The same, to go on by itself."""
        other = copy(self)
        other._rng, other._heard = deepcopy(self._rng), self._heard.branch()
        other.made, other._due = self.made.copy(), self._due.copy()
        return other

    def take(self, token: int) -> None:
        """Go on by one event."""
        if self._rng is None:
            return
        self._heard.take(token)
        is_back = self._heard.step >= self._starts
        if self._due and is_back and token == self._due[0].event:
            self._go_on()

    def _go_on(self) -> None:
        self._due.popleft()
        self._stay_away()
        if self._coming is not None:
            self.made.append(self._coming)
            self._coming = None

    def _stay_away(self) -> None:
        self._may_since = self._heard.step + OWN_SECONDS * v.STEPS_PER_SECOND

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
        if self._rng is None or self._heard.step <= self._may_since or not self._heard.is_breath:
            return False
        seconds = (self._heard.step - self._may_since) / v.STEPS_PER_SECOND
        self._may_since = self._heard.step
        return self._rng.random() >= math.exp(-seconds / MEAN_SECONDS)

    def _return(self, logits: npt.NDArray[np.floating]) -> None:
        """Choose a phrase, and make its events due."""
        assert self._rng is not None
        over = self._heard.step - AGO_SECONDS * v.STEPS_PER_SECOND
        begins = [begin for begin in self._heard.begins if self._heard.notes[begin].step < over]
        if not begins:
            return
        fits = self._fits(begins, logits)
        begin = begins[int(self._rng.choice(len(begins), p=fits / fits.sum()))]
        end = self._end_of(begin)
        was, until = (self._heard.notes[number].step for number in (begin, end - 1))
        starts = self._start_of(was - self._begun, until - self._begun)
        if starts is None or end - begin < FEWEST_KEYS:
            return
        self._due = deque(self._events(begin, end))
        self._starts = starts + self._begun
        self._later = self._starts - was
        self._coming = Return(step=starts, from_step=was - self._begun)

    def _start_of(self, was: int, until: int) -> int | None:
        """The step of the new music from which to play again what was played then."""
        now = self._heard.step - self._begun
        return now if self._grid is None else self._grid.again(was, until, now)

    def _events(self, begin: int, end: int) -> list[_Due]:
        """What is to be played of some notes, up to where the last of them begins."""
        events = [_Due(n.step, n.velocity, n.pitch) for n in self._heard.notes[begin:end]]
        until = events[-1].step
        for number in range(begin, end):
            step = self._heard.ends.get(number, until + 1)
            if step <= until:
                events.append(_Due(step, 0, self._heard.notes[number].pitch))
        return sorted(events)

    def _fits(self, begins: Sequence[int], logits: npt.NDArray[np.floating]) -> Floats:
        """How likely the network finds the first key of each phrase now, the opening apart."""
        struck = logits[v.NOTE_ON : v.NOTE_OFF].astype(np.float64)
        keys = [self._heard.notes[begin].pitch for begin in begins]
        fits = np.exp(struck[keys] - np.logaddexp.reduce(struck)) + _LEAST_FIT
        if len(begins) > 1:
            fits[0] *= _OPENING_SHARE / (1.0 - _OPENING_SHARE) * (len(begins) - 1)
        return np.asarray(fits)

    def _end_of(self, begin: int) -> int:
        """The number of the note that comes back no more."""
        assert self._rng is not None
        notes = self._heard.notes
        start = notes[begin].step
        soonest = start + SHORTEST_SECONDS * v.STEPS_PER_SECOND
        latest = start + LONGEST_SECONDS * v.STEPS_PER_SECOND
        ends = [end for end in self._heard.begins if soonest <= notes[end].step <= latest]
        if ends:
            return int(self._rng.choice(ends))
        middle = (soonest + latest) // 2
        return bisect_left(notes, middle, key=lambda note: note.step)

    def _left(self, due: _Due, allowed: Mask) -> Mask:
        wait = due.step + self._later - self._heard.step
        if self._heard.step < self._starts:
            return _before(wait, allowed)
        if self._coming is not None and not wait:
            self._first_back = len(self._heard.notes)
        left = self._letting_others_go(allowed)
        if not left.any() and wait > 0:
            left = _waiting(wait, allowed)
            if not left.any():
                self._later -= wait  # so long nothing may wait now
        if left.any():
            return left
        return self._striking(due, allowed) if due.velocity else _only(due.event, allowed)

    def _letting_others_go(self, allowed: Mask) -> Mask:
        """What still sounds from before ends where the passage begins, as soon as it may."""
        left = np.zeros_like(allowed)
        for pitch, number in self._heard.sounding.items():
            if number < self._first_back:
                left[v.NOTE_OFF + pitch] = allowed[v.NOTE_OFF + pitch]
        return left

    def _striking(self, due: _Due, allowed: Mask) -> Mask:
        """The one event that comes next on the way to a note; none if its key is not to be had."""
        release = _only(v.NOTE_OFF + due.pitch, allowed)
        if release.any():
            return release
        strike = _only(due.event, allowed)
        is_to_be_said = due.velocity != self._heard.velocity and allowed[due.velocity]
        return _only(due.velocity, allowed) if strike.any() and is_to_be_said else strike


def _only(event: int, allowed: Mask) -> Mask:
    """The event, if it is allowed; else none."""
    left = np.zeros_like(allowed)
    left[event] = allowed[event]
    return left


def _waiting(steps: int, allowed: Mask) -> Mask:
    """The longest time up to so many steps; none if time may not pass."""
    times = np.flatnonzero(_before(steps, allowed)[_TIMES])
    return _only(v.TIME_SHIFT + int(times[-1]), allowed) if len(times) else np.zeros_like(allowed)


def _before(steps: int, allowed: Mask) -> Mask:
    """What is allowed, but no time beyond so many steps."""
    left = allowed.copy()
    left[_TIMES][steps:] = False
    return left


def _is_release_due(allowed: Mask) -> bool:
    return not allowed[_STRIKES].any() and not allowed[_TIMES].any()
