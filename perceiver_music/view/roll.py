"""A performance as it is drawn: keys, velocities, pedal, and what is new."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.moments import clock, counted
from perceiver_music.music.performance import (
    MICROSECONDS,
    NoteArray,
    Performance,
)

MIDDLE_C = 60
_LEAST_PITCHES = 24
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_BLACK = frozenset({1, 3, 6, 8, 10})

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the two kinds of music in a roll are called.

    Attributes:
        old, new: in a legend.
        begin, end: where a stretch of new music begins and ends; an empty one is not named.
        next: the one that a page goes to.
        rest: all that is not new, which a page can mute.
    """

    old: str
    new: str
    begin: str
    end: str
    next: str
    rest: str


CONTINUED: Final = Words(
    old="primer",
    new="new music",
    begin="new music",
    end="the file goes on",
    next="the new music",
    rest="primer",
)
INFILLED: Final = replace(CONTINUED, old="as it was", rest="rest")
DUET: Final = Words(
    old="player",
    new="answers",
    begin="answer",
    end="",
    next="the next answer",
    rest="player",
)


@dataclass(frozen=True, kw_only=True)
class Roll:
    """Everything that a picture or a page shows.

    Attributes:
        title: of the piece.
        facts: short lines about it, such as "seed 7".
        start, end: of each note, in seconds.
        pitch, velocity: of each note.
        is_new: whether a note is new music.
        pedal: moments in seconds and depths from 0 to 1 of controller 64.
        seconds: length.
        new: where each stretch of new music begins and ends, in seconds; empty when nothing is
            known of any.
        words: the names of the two kinds of music.
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
    new: tuple[tuple[float, float], ...]
    words: Words = CONTINUED

    @classmethod
    def of(
        cls,
        performance: Performance,
        *,
        title: str,
        facts: tuple[str, ...] = (),
        new_us: tuple[int, int | None] | None = None,
        is_answer: npt.NDArray[np.bool_] | None = None,
    ) -> Roll:
        """The roll of a performance.

        Args:
            performance: at least one note.
            title: what to call it.
            facts: lines about it.
            new_us: where new music begins and ends; None when that is not known. An end of None
                is the music's; any other is that of a gap which was filled.
            is_answer: of a duet, whether each note is an answer; None of any other music.

        Raises:
            ValueError: there are no notes.
        """
        notes, pedal = performance.notes, performance.pedal
        if not len(notes):
            raise ValueError("a roll of no notes is no picture")
        start = notes["start_us"] / MICROSECONDS
        seconds = max(performance.seconds, 0.1)
        is_new = np.zeros(len(notes), dtype=np.bool_)
        new: tuple[tuple[float, float], ...] = ()
        words = CONTINUED
        if is_answer is not None:
            is_new, new, words = is_answer, _turns(notes, is_answer), DUET
        elif new_us is not None:
            begin, end = new_us[0], performance.end_us if new_us[1] is None else new_us[1]
            is_new = (notes["start_us"] >= begin) & (notes["start_us"] < end + (new_us[1] is None))
            new = ((min(begin / MICROSECONDS, seconds), min(end / MICROSECONDS, seconds)),)
            words = CONTINUED if new_us[1] is None else INFILLED
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
            words=words,
        )

    @property
    def num_notes(self) -> int:
        """How many notes."""
        return len(self.start)

    @property
    def has_both(self) -> bool:
        """Whether there is new music and other music too, which have to be told apart."""
        return bool(self.new) and not bool(self.is_new.all())

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

    def seams(self) -> list[tuple[float, str]]:
        """The moments within the music at which new music begins or ends, and their names."""
        return [
            (moment, name)
            for begin, end in self.new
            for moment, name in ((begin, self.words.begin), (end, self.words.end))
            if name and 0.01 < moment < self.seconds - 0.01
        ]

    def description(self) -> str:
        """What the picture shows, for those who cannot see it."""
        text = (
            f"{counted(self.num_notes, 'note')} in {clock(self.seconds)}, "
            f"from {pitch_name(self.pitch.min())} to {pitch_name(self.pitch.max())}"
        )
        if not self.new:
            return f"Piano roll of {self.title}: {text}."
        begin, end = self.new[0]
        where = f"New music begins at {clock(begin)}"
        if self.words is DUET:
            where = f"{counted(len(self.new), 'answer')}, the first at {clock(begin)}"
        elif end < self.seconds - 0.01:
            where += f" and ends at {clock(end)}"
        return f"Piano roll of {self.title}: {text}. {where}."


def _turns(notes: NoteArray, is_answer: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Each answer from its first note until its last has ended, or the player plays again."""
    edges = np.flatnonzero(np.diff(is_answer.astype(np.int8), prepend=0, append=0))
    turns = []
    for first, after in edges.reshape(-1, 2).tolist():
        end = int(notes["end_us"][first:after].max())
        if after < len(notes):
            end = min(end, int(notes["start_us"][after]))
        turns.append((int(notes["start_us"][first]) / MICROSECONDS, end / MICROSECONDS))
    return tuple(turns)


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
