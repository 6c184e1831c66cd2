"""The time that live music runs on: the system's, or one that costs no time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go backwards, from an origin of its own."""

    def now(self) -> float:
        """The moment."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """The moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""
        time.sleep(max(0.0, seconds))


class FreeClock:
    """Time that goes by at once when it is slept: for music that nobody listens to."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """The moment."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self._now += max(0.0, seconds)
