"""Moments and lengths of music as people say them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """Minutes and seconds, rounded to the nearest: `1:05`."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02d}"
