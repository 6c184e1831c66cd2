"""Ids one by one as events in time, for those who cannot wait for the whole piece."""

from __future__ import annotations

from dataclasses import dataclass

from perceiver_music.tokenizer.vocabulary import STEPS_PER_SECOND, Vocabulary


@dataclass(frozen=True)
class Event:
    """One id, read.

    Attributes:
        seconds: when it takes effect; a TIME_SHIFT belongs to the moment that it leaves.
        token: the id.
        name: its kind.
        value: of that kind.
        velocity: the MIDI velocity in force.
    """

    seconds: float
    token: int
    name: str
    value: int
    velocity: int


class EventReader:
    """Reads the ids of one sequence in their order.

    Args:
        vocabulary: what they mean.
        velocity: the value of VELOCITY in force before the first; None for none.
    """

    def __init__(self, vocabulary: Vocabulary, *, velocity: int | None = None) -> None:
        self._vocabulary = vocabulary
        self._step = 0
        self._velocity = 64 if velocity is None else vocabulary.midi_velocity(velocity)

    def read(self, token: int) -> Event:
        """The next one.

        Raises:
            ValueError: it is not an id of the vocabulary.
        """
        name, value = self._vocabulary.describe(token)
        seconds = self._step / STEPS_PER_SECOND
        if name == "TIME_SHIFT":
            self._step += value
        elif name == "VELOCITY":
            self._velocity = self._vocabulary.midi_velocity(value)
        return Event(seconds, token, name, value, self._velocity)
