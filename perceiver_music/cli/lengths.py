"""The two small languages of the command line: lengths of new music and moments in a file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from perceiver_music.generation.options import LengthUnit
from perceiver_music.music.moments import MAX_MUSIC_SECONDS, counted

_LENGTH = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", re.ASCII)
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*s?", re.ASCII)
_UNITS: dict[str, LengthUnit] = {
    "": "events",
    "event": "events",
    "events": "events",
    "note": "notes",
    "notes": "notes",
    "s": "seconds",
    "bar": "bars",
    "bars": "bars",
}
_LENGTH_FORMS = "4096 (events), 500notes, 60s, 1:30 or 16bars"
_SECONDS_FORMS = "20s or 1:30"
_FEW_EVENTS, _EVENTS_PER_NOTE = 200, 4
_UNCOUNTABLE_EVENTS = 20
"""Of fewer than that nobody knows how many are notes: of ten, two to five."""
_MOST = {"events": 2_000_000, "notes": 500_000, "seconds": MAX_MUSIC_SECONDS, "bars": 20_000}
_MOMENT_FORMS = "12.5, 12.5s or 1:30"


@dataclass(frozen=True, kw_only=True)
class Length:
    """How much new music is wanted; whole numbers except for seconds."""

    amount: float
    unit: LengthUnit

    @property
    def is_of_few_events(self) -> bool:
        """Whether whoever asks for it may have meant seconds."""
        return self.unit == "events" and self.amount < _FEW_EVENTS

    @property
    def in_words(self) -> str:
        """With the notes that they are, more or less: each takes four events."""
        notes = f"about {round(self.amount / _EVENTS_PER_NOTE)} notes"
        if self.amount < _UNCOUNTABLE_EVENTS:
            notes = "a few notes at most"
        return f"{counted(int(self.amount), 'event')}, {notes}; {self}s is seconds"

    def __str__(self) -> str:
        amount = f"{self.amount:g}" if self.unit == "seconds" else str(int(self.amount))
        return {
            "events": amount,
            "notes": f"{amount}notes",
            "seconds": f"{amount}s",
            "bars": f"{amount}bars",
        }[self.unit]


def parse_length(text: str | Length) -> Length:
    """Reads `4096`, `500notes`, `60s`, `1:30` or `16bars`.

    Raises:
        ValueError: for anything else, and for nothing at all (`0s`).
    """
    return _length(text, _LENGTH_FORMS)


def parse_length_in_seconds(text: str | Length) -> Length:
    """Reads `20s` or `1:30`.

    Raises:
        ValueError: for anything else, and for nothing at all (`0s`).
    """
    length = _length(text, _SECONDS_FORMS)
    if length.unit != "seconds":
        raise ValueError(f"'{text}' is not in seconds; try {_SECONDS_FORMS}")
    return length


def _length(text: str | Length, forms: str) -> Length:
    """A length of any unit; `forms` is what a wrong word is answered with."""
    if isinstance(text, Length):
        return text
    word = text.strip().lower()
    if ":" in word:
        length = Length(amount=parse_moment(word), unit="seconds")
    else:
        length = _amount_and_unit(word, text, forms)
    if length.amount > _MOST[length.unit]:
        raise ValueError(f"'{text}' is more than six hours of music")
    if length.amount <= 0:
        raise ValueError(f"'{text}' is no music at all; try {forms}")
    return length


def _amount_and_unit(word: str, text: str, forms: str) -> Length:
    match = _LENGTH.fullmatch(word)
    unit = None if match is None else _UNITS.get(match["unit"])
    if match is None or unit is None:
        raise ValueError(f"'{text}' is not a length; try {forms}")
    amount = float(match["number"])
    if not math.isfinite(amount):
        raise ValueError(f"'{text}' is too large a number")
    if unit != "seconds" and not amount.is_integer():
        raise ValueError(f"'{text}' is not a whole number of {unit}; try {forms}")
    return Length(amount=amount, unit=unit)


def parse_moment(text: str | float) -> float:
    """Reads a moment or a span, in seconds: `12.5`, `12.5s`, `1:30` or `1:02:03`.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(text, float):
        return text
    word = text.strip().lower()
    plain = _SECONDS.fullmatch(word)
    clock = _CLOCK.fullmatch(word)
    if plain is not None:
        seconds = float(plain[1])
    elif clock is not None and float(clock[3]) < 60 and (clock[1] is None or int(clock[2]) < 60):
        seconds = 3600 * int(clock[1] or 0) + 60 * int(clock[2]) + float(clock[3])
    else:
        raise ValueError(f"'{text}' is not a time; try {_MOMENT_FORMS}")
    if not math.isfinite(seconds):
        raise ValueError(f"'{text}' is too large a number")
    return seconds
