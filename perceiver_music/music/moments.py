"""Moments, lengths and amounts of music as people say them."""

from __future__ import annotations

from typing import Final

MAX_MUSIC_SECONDS: Final = 6 * 60 * 60
"""The longest music that is read, made, written or rendered: six hours."""


def clock(seconds: float) -> str:
    """Minutes and seconds, rounded to the nearest: `1:05`."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02d}"


def counted(number: int, noun: str) -> str:
    """How many there are of something: `1 note`, `1,200 notes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
