"""A performance as it is drawn: keys, velocities, pedal, and what is new."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.moments import clock, counted
from perceiver_music.music.performance import MICROSECONDS, Performance

LOWEST_PIANO_KEY, HIGHEST_PIANO_KEY = 21, 108
MIDDLE_C = 60
_LEAST_PITCHES = 24
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_BLACK = frozenset({1, 3, 6, 8, 10})

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Roll:
    """Everything that a picture or a page shows.

    Attributes:
        title: of the piece.
        facts: short lines about it, such as "seed 7".
        start, end: of each note, in seconds.
        pitch, velocity: of each note.
        is_new: whether a note belongs to the new part.
        pedal: moments in seconds and depths from 0 to 1 of controller 64.
        seconds: length.
        new: where the new part begins and ends, in seconds; None when nothing else is known.
    """

    title: str
    facts: tuple[str, ...]
    start: Seconds
    end: Seconds
    pitch: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.uint8]
    is_new: npt.NDArray[np.bool_]
    pedal: tuple[Seconds, Seconds]
    seconds: float
    new: tuple[float, float] | None

    @classmethod
    def of(
        cls,
        performance: Performance,
        *,
        title: str,
        facts: tuple[str, ...] = (),
        new_us: tuple[int, int | None] | None = None,
    ) -> Roll:
        """The roll of a performance.

        Args:
            performance: at least one note.
            title: what to call it.
            facts: lines about it.
            new_us: where new music begins and ends; None when that is not known or all is new.

        Raises:
            ValueError: there are no notes.
        """
        notes, pedal = performance.notes, performance.pedal
        if not len(notes):
            raise ValueError("a roll of no notes is no picture")
        start = notes["start_us"] / MICROSECONDS
        seconds = max(performance.seconds, 0.1)
        is_new = np.zeros(len(notes), dtype=np.bool_)
        new = None
        if new_us is not None:
            begin, end = new_us[0], performance.end_us if new_us[1] is None else new_us[1]
            is_new = (notes["start_us"] >= begin) & (notes["start_us"] < end + (new_us[1] is None))
            new = (min(begin / MICROSECONDS, seconds), min(end / MICROSECONDS, seconds))
        kept = pedal["time_us"] <= performance.end_us
        return cls(
            title=title,
            facts=facts,
            start=start,
            end=notes["end_us"] / MICROSECONDS,
            pitch=notes["pitch"].copy(),
            velocity=notes["velocity"].copy(),
            is_new=is_new,
            pedal=(pedal["time_us"][kept] / MICROSECONDS, pedal["value"][kept] / 127.0),
            seconds=seconds,
            new=new,
        )

    @property
    def num_notes(self) -> int:
        """How many notes."""
        return len(self.start)

    @property
    def has_pedal(self) -> bool:
        """Whether the pedal is ever down."""
        return bool((self.pedal[1] > 0).any())

    @property
    def pitch_range(self) -> tuple[int, int]:
        """The lowest and the highest pitch to show: some room, and two octaves at least."""
        low, high = max(0, int(self.pitch.min()) - 2), min(127, int(self.pitch.max()) + 2)
        missing = _LEAST_PITCHES - (high - low + 1)
        if missing > 0:
            high = min(127, high + missing // 2)
            low = max(0, high - _LEAST_PITCHES + 1)
            high = low + _LEAST_PITCHES - 1
        return low, high

    def pedal_spans(self) -> list[tuple[float, float, float]]:
        """Stretches in which the pedal is down: begin, end, depth from 0 to 1."""
        times, depths = self.pedal
        ends = np.append(times, self.seconds)[1:]
        return [
            (begin, end, depth)
            for begin, end, depth in zip(
                times.tolist(), ends.tolist(), depths.tolist(), strict=True
            )
            if depth > 0 and end > begin
        ]

    def description(self) -> str:
        """What the picture shows, for those who cannot see it."""
        text = (
            f"{counted(self.num_notes, 'note')} in {clock(self.seconds)}, "
            f"from {pitch_name(self.pitch.min())} to {pitch_name(self.pitch.max())}"
        )
        if self.new is None:
            return f"Piano roll of {self.title}: {text}."
        where = f"New music begins at {clock(self.new[0])}"
        if self.new[1] < self.seconds - 0.01:
            where += f" and ends at {clock(self.new[1])}"
        return f"Piano roll of {self.title}: {text}. {where}."


def pitch_name(pitch: int) -> str:
    """`C4` for middle C."""
    return f"{_NAMES[int(pitch) % 12]}{int(pitch) // 12 - 1}"


def is_black(pitch: int) -> bool:
    """Whether a pitch is a black key."""
    return pitch % 12 in _BLACK


def text_width(text: str) -> int:
    """How many Latin letters are about as wide: signs of East Asia are two (UAX 11)."""
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )
