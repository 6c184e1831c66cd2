"""Vocabularies: for each tokenizer one table, from which every id is derived.

`MAESTRO`: the first 388 ids are those of Music Transformer (arXiv 1809.04281, appendix A.2) in
note-seq's order, so an id of ours is an id of note-seq's one-hot encoding. `PEDAL`: notes as they
are played, all velocities, and the sustain pedal as events of its own. Both begin with the same
three kinds, so the id of an onset, a release or a stretch of time is the same in either. A
fingerprint of the table is stored with every token store and checkpoint.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

STEPS_PER_SECOND: Final = 100
MICROSECONDS_PER_STEP: Final = 10_000
MAX_SHIFT_STEPS: Final = 100


@dataclass(frozen=True)
class EventKind:
    """One row of a table: a kind of token, its values and what they count."""

    name: str
    first_value: int
    last_value: int
    unit: str

    @property
    def size(self) -> int:
        """Number of ids of this kind."""
        return self.last_value - self.first_value + 1


@dataclass(frozen=True)
class Vocabulary:
    """One table of kinds; the ids of a kind follow one another, in the order of the table."""

    kinds: tuple[EventKind, ...]

    @cached_property
    def first_id(self) -> dict[str, int]:
        """The id of the first value of each kind."""
        first, next_id = {}, 0
        for kind in self.kinds:
            first[kind.name] = next_id
            next_id += kind.size
        return first

    @cached_property
    def size(self) -> int:
        """Number of ids."""
        return sum(kind.size for kind in self.kinds)

    @property
    def num_event_ids(self) -> int:
        """Ids below this one are music; the rest are special."""
        return self.first_id["PAD"]

    @property
    def pad(self) -> int:
        """Filling."""
        return self.first_id["PAD"]

    @property
    def bos(self) -> int:
        """Before a piece."""
        return self.first_id["BOS"]

    @property
    def eos(self) -> int:
        """After a piece."""
        return self.first_id["EOS"]

    @cached_property
    def num_velocities(self) -> int:
        """How many values VELOCITY has."""
        return next(kind.size for kind in self.kinds if kind.name == "VELOCITY")

    def midi_velocity(self, value: int) -> int:
        """The MIDI velocity that a value of VELOCITY stands for: the middle of its bin."""
        per_bin = 128 // self.num_velocities
        return value * per_bin - per_bin // 2

    def describe(self, token_id: int) -> tuple[str, int]:
        """Name and value of an id: `MAESTRO.describe(60)` is `("NOTE_ON", 60)`.

        Raises:
            ValueError: the id is outside the vocabulary.
        """
        if 0 <= token_id < self.size:
            return self._described[token_id]
        raise ValueError(f"{token_id} is not an id of a vocabulary of {self.size}")

    @cached_property
    def _described(self) -> tuple[tuple[str, int], ...]:
        return tuple(
            (kind.name, value)
            for kind in self.kinds
            for value in range(kind.first_value, kind.last_value + 1)
        )

    def token_id(self, name: str, value: int = 0) -> int:
        """Id of a named event: `MAESTRO.token_id("TIME_SHIFT", 100)` is 355.

        Raises:
            ValueError: there is no such kind, or it has no such value.
        """
        for kind in self.kinds:
            if kind.name == name and kind.first_value <= value <= kind.last_value:
                return self.first_id[name] + value - kind.first_value
        raise ValueError(f"there is no event {name} {value}")

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the meaning of any id does."""
        rows = [f"{k.name} {k.first_value} {k.last_value} {k.unit}" for k in self.kinds]
        rows.append(f"{STEPS_PER_SECOND} {MAX_SHIFT_STEPS} {self.num_velocities}")
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


_KEYS_AND_TIME = (
    EventKind("NOTE_ON", 0, 127, "MIDI pitch"),
    EventKind("NOTE_OFF", 0, 127, "MIDI pitch"),
    EventKind("TIME_SHIFT", 1, 100, "10 ms"),
)
_SPECIALS = (
    EventKind("PAD", 0, 0, "special"),
    EventKind("BOS", 0, 0, "special"),
    EventKind("EOS", 0, 0, "special"),
    EventKind("RESERVED", 0, 8, "special"),
)
EVENT_KINDS: Final = (
    *_KEYS_AND_TIME,
    EventKind("VELOCITY", 1, 32, "bin of 4 MIDI velocities"),
    *_SPECIALS,
)
MAESTRO: Final = Vocabulary(EVENT_KINDS)
PEDAL: Final = Vocabulary(
    (
        *_KEYS_AND_TIME,
        EventKind("VELOCITY", 1, 127, "MIDI velocity"),
        EventKind("PEDAL", 0, 127, "value of controller 64"),
        *_SPECIALS,
    )
)

# The vocabulary of MAESTRO performance events by name: most of the program speaks only that one.
FIRST_ID: Final = MAESTRO.first_id
VOCABULARY_SIZE: Final = MAESTRO.size
NUM_EVENT_IDS: Final = MAESTRO.num_event_ids
NOTE_ON: Final = FIRST_ID["NOTE_ON"]
NOTE_OFF: Final = FIRST_ID["NOTE_OFF"]
TIME_SHIFT: Final = FIRST_ID["TIME_SHIFT"]
VELOCITY: Final = FIRST_ID["VELOCITY"]
PAD: Final = MAESTRO.pad
BOS: Final = MAESTRO.bos
EOS: Final = MAESTRO.eos
NUM_VELOCITY_BINS: Final = MAESTRO.num_velocities
FINGERPRINT: Final = MAESTRO.fingerprint
describe = MAESTRO.describe
token_id = MAESTRO.token_id
