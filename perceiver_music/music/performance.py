"""A piano performance as two read-only tables: notes and sustain-pedal moves.

Times are whole microseconds from the start of the piece. Whole numbers make a moment that lies
exactly between two steps of the 10 ms grid stay exactly there, which floating seconds do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

MICROSECONDS = 1_000_000
"""Microseconds in a second."""
LOWEST_PIANO_PITCH, HIGHEST_PIANO_PITCH = 21, 108
"""The keys of a piano, as MIDI numbers them."""

NOTE_DTYPE = np.dtype([("start_us", "<i8"), ("end_us", "<i8"), ("pitch", "u1"), ("velocity", "u1")])
PEDAL_DTYPE = np.dtype([("time_us", "<i8"), ("value", "u1")])

NoteArray = npt.NDArray[np.void]
PedalArray = npt.NDArray[np.void]


def note_array(
    start_us: npt.ArrayLike, end_us: npt.ArrayLike, pitch: npt.ArrayLike, velocity: npt.ArrayLike
) -> NoteArray:
    """Build a note table from four columns of equal length."""
    start = np.asarray(start_us, dtype=np.int64)
    notes = np.empty(len(start), dtype=NOTE_DTYPE)
    notes["start_us"] = start
    notes["end_us"] = end_us
    notes["pitch"] = pitch
    notes["velocity"] = velocity
    return notes


def in_order(notes: NoteArray) -> NoteArray:
    """Notes by (start, pitch), stable; the same table if it is in this order already."""
    start, pitch = notes["start_us"], notes["pitch"]
    falls = (start[1:] == start[:-1]) & (pitch[1:] < pitch[:-1])
    if not bool((falls | (start[1:] < start[:-1])).any()):
        return notes
    return notes[np.lexsort((pitch, start))]


def _empty_pedal() -> PedalArray:
    return np.empty(0, dtype=PEDAL_DTYPE)


@dataclass(frozen=True)
class Performance:
    """Notes and sustain pedal of one piece.

    Attributes:
        notes: `NOTE_DTYPE`, in order of (start, pitch); stable for equal keys.
        pedal: `PEDAL_DTYPE`, controller 64 with its 0..127 values, in order of time.

    Raises:
        ValueError: a note ends before it starts, starts before zero, or has a pitch or velocity
            that MIDI has not.
    """

    notes: NoteArray
    pedal: PedalArray = field(default_factory=_empty_pedal)

    def __post_init__(self) -> None:
        # Copies: what the caller keeps stays the caller's to change.
        notes = np.array(self.notes, dtype=NOTE_DTYPE, order="C")
        pedal = np.array(self.pedal, dtype=PEDAL_DTYPE, order="C")
        if len(notes):
            if int(notes["start_us"].min()) < 0:
                raise ValueError("a note starts before zero")
            if bool((notes["end_us"] < notes["start_us"]).any()):
                raise ValueError("a note ends before it starts")
            if int(notes["pitch"].max()) > 127 or int(notes["velocity"].max()) > 127:
                raise ValueError("pitch and velocity go from 0 to 127")
            notes = in_order(notes)
        moments = pedal["time_us"]
        if bool((moments[1:] < moments[:-1]).any()):
            pedal = pedal[np.argsort(moments, kind="stable")]
        notes.flags.writeable = False
        pedal.flags.writeable = False
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "pedal", pedal)

    @property
    def num_notes(self) -> int:
        """Number of notes."""
        return len(self.notes)

    @property
    def end_us(self) -> int:
        """When the last note ends, in microseconds; 0 without notes."""
        return int(self.notes["end_us"].max()) if len(self.notes) else 0

    @property
    def seconds(self) -> float:
        """When the last note ends, in seconds."""
        return self.end_us / MICROSECONDS
