"""Which token ids are which events; all that a model is told of a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EventLayout:
    """Which ids are which events: the first id of each kind, values consecutive.

    Attributes:
        note_on, note_off, time_shift, velocity: first ids.
        suffix, middle: ids that open the two parts of an infilling prompt.
        num_pitches, num_shifts, num_velocities: how many there are of each kind.
    """

    note_on: int
    note_off: int
    time_shift: int
    velocity: int
    suffix: int
    middle: int
    num_pitches: int = 128
    num_shifts: int = 100
    num_velocities: int = 32
