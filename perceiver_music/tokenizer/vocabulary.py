"""The vocabulary of MAESTRO performance events: one table, from which every id is derived.

The first 388 ids are those of Music Transformer (arXiv 1809.04281, appendix A.2) in note-seq's
order, so an id of ours is an id of note-seq's one-hot encoding. A fingerprint of the table is
stored with every token store and checkpoint.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class EventKind:
    """One row of the table: a kind of token, its values and what they count."""

    name: str
    first_value: int
    last_value: int
    unit: str

    @property
    def size(self) -> int:
        """Number of ids of this kind."""
        return self.last_value - self.first_value + 1


EVENT_KINDS: Final = (
    EventKind("NOTE_ON", 0, 127, "MIDI pitch"),
    EventKind("NOTE_OFF", 0, 127, "MIDI pitch"),
    EventKind("TIME_SHIFT", 1, 100, "10 ms"),
    EventKind("VELOCITY", 1, 32, "bin of 4 MIDI velocities"),
    EventKind("PAD", 0, 0, "special"),
    EventKind("BOS", 0, 0, "special"),
    EventKind("EOS", 0, 0, "special"),
    EventKind("RESERVED", 0, 8, "special"),
)


def _first_ids() -> dict[str, int]:
    first, next_id = {}, 0
    for kind in EVENT_KINDS:
        first[kind.name] = next_id
        next_id += kind.size
    return first


FIRST_ID: Final = _first_ids()
"""The id of the first value of each kind."""

VOCABULARY_SIZE: Final = sum(kind.size for kind in EVENT_KINDS)
NUM_EVENT_IDS: Final = FIRST_ID["PAD"]
"""Ids below this one are music; the rest are special."""

NOTE_ON: Final = FIRST_ID["NOTE_ON"]
NOTE_OFF: Final = FIRST_ID["NOTE_OFF"]
TIME_SHIFT: Final = FIRST_ID["TIME_SHIFT"]
VELOCITY: Final = FIRST_ID["VELOCITY"]
PAD: Final = FIRST_ID["PAD"]
BOS: Final = FIRST_ID["BOS"]
EOS: Final = FIRST_ID["EOS"]

STEPS_PER_SECOND: Final = 100
MICROSECONDS_PER_STEP: Final = 10_000
MAX_SHIFT_STEPS: Final = 100
NUM_VELOCITY_BINS: Final = 32


def describe(token_id: int) -> tuple[str, int]:
    """Name and value of an id: `describe(60)` is `("NOTE_ON", 60)`.

    Raises:
        ValueError: the id is outside the vocabulary.
    """
    if 0 <= token_id < VOCABULARY_SIZE:
        for kind in reversed(EVENT_KINDS):
            if token_id >= FIRST_ID[kind.name]:
                return kind.name, token_id - FIRST_ID[kind.name] + kind.first_value
    raise ValueError(f"{token_id} is not an id of a vocabulary of {VOCABULARY_SIZE}")


def token_id(name: str, value: int = 0) -> int:
    """Id of a named event: `token_id("TIME_SHIFT", 100)` is 355.

    Raises:
        ValueError: there is no such kind, or it has no such value.
    """
    for kind in EVENT_KINDS:
        if kind.name == name and kind.first_value <= value <= kind.last_value:
            return FIRST_ID[name] + value - kind.first_value
    raise ValueError(f"there is no event {name} {value}")


def _fingerprint() -> str:
    rows = [f"{k.name} {k.first_value} {k.last_value} {k.unit}" for k in EVENT_KINDS]
    rows.append(f"{STEPS_PER_SECOND} {MAX_SHIFT_STEPS} {NUM_VELOCITY_BINS}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


FINGERPRINT: Final = _fingerprint()
"""Changes whenever the meaning of any id does."""
