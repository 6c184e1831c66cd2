"""What has been played, note by note, and where phrases begin in it: after breaths."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Final, NamedTuple, Self

from perceiver_music.tokenizer import vocabulary as v

CHORD_STEPS: Final = 4
"""Keys that are struck within so short a time are struck together."""
BREATH: Final = 1.5
"""So many times the median of the waits before it, a wait begins a phrase."""
NUM_WAITS: Final = 12
SHORTEST_BREATH_STEPS: Final = 15


class Played(NamedTuple):
    """A note that was played.

    Attributes:
        step: when, in steps from the first event.
        pitch: its key.
        velocity: the event that says how loud.
    """

    step: int
    pitch: int
    velocity: int


class Heard:
    """Listens to every event.

    Args:
        tokens: what has been played so far.
        vocabulary: whose events they are.

    Attributes:
        step: now, from the first event on.
        velocity: the event in force.
        notes: in the order in which they began.
        ends: the number of a note -> the step at which its key was let go.
        sounding: pitch -> the number of the note.
        begins: the numbers of the notes that begin phrases.
    """

    def __init__(self, tokens: Sequence[int], vocabulary: v.Vocabulary = v.MAESTRO) -> None:
        first = vocabulary.first_id["VELOCITY"]
        self._velocities = range(first, first + vocabulary.num_velocities)
        self.step, self.velocity = 0, first
        self.notes: list[Played] = []
        self.ends: dict[int, int] = {}
        self.sounding: dict[int, int] = {}
        self.begins: list[int] = []
        self._waits: deque[int] = deque(maxlen=NUM_WAITS)
        self._breath = math.inf
        for token in tokens:
            self.take(token)

    def branch(self) -> Self:
        """The same, to go on by itself. Notes, of which there may be thousands, are not copied."""
        other = copy(self)
        other.notes, other.begins = self.notes.copy(), self.begins.copy()
        other.ends, other.sounding = self.ends.copy(), self.sounding.copy()
        other._waits = self._waits.copy()
        return other

    def take(self, token: int) -> None:
        """Go on by one event."""
        if v.TIME_SHIFT <= token < v.VELOCITY:
            self.step += token - v.TIME_SHIFT + 1
        elif token in self._velocities:
            self.velocity = token
        elif v.NOTE_ON <= token < v.NOTE_OFF:
            self._strike(token - v.NOTE_ON)
        elif v.NOTE_OFF <= token < v.TIME_SHIFT and token - v.NOTE_OFF in self.sounding:
            self.ends[self.sounding.pop(token - v.NOTE_OFF)] = self.step

    def _strike(self, pitch: int) -> None:
        if not self.notes or self.is_breath:
            self.begins.append(len(self.notes))
        if self.notes and self._wait > CHORD_STEPS:
            self._waits.append(self._wait)
            if len(self._waits) == NUM_WAITS:
                typical = sorted(self._waits)[NUM_WAITS // 2]
                self._breath = max(SHORTEST_BREATH_STEPS, BREATH * typical)
        self.sounding[pitch] = len(self.notes)
        self.notes.append(Played(self.step, pitch, self.velocity))

    @property
    def is_breath(self) -> bool:
        """Whether a key that is struck now begins a phrase."""
        return self._wait >= self._breath

    @property
    def _wait(self) -> int:
        return self.step - self.notes[-1].step if self.notes else 0
