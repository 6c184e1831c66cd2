"""Events played when they are due, though they are made sooner or later than that."""

from __future__ import annotations

from collections import deque
from typing import Final

from perceiver_music.live.hands import Hands
from perceiver_music.tokenizer.event_reader import Event

LATEST_SECONDS: Final = 0.05
"""An event that comes later than this moves all that follow it: the music waits, and never rushes
to catch up."""


class Playback:
    """One stretch of new music on its way to the hands.

    It begins with its first note, as soon as that is there: a rest before it is not waited for.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._waiting: deque[Event] = deque()
        self._origin: float | None = None
        self._has_note = False
        self._is_complete = False

    def add(self, event: Event) -> None:
        """Take the next event, in order of time."""
        if event.name in ("NOTE_ON", "NOTE_OFF", "PEDAL"):
            self._waiting.append(event)
            self._has_note |= event.name == "NOTE_ON"

    def complete(self) -> None:
        """Nothing more will come."""
        self._is_complete = True

    @property
    def is_over(self) -> bool:
        """Whether all has been played."""
        return self._is_complete and not self._waiting

    def seconds_ahead(self, now: float) -> float:
        """How much of what waits is not due yet."""
        if not self._waiting:
            return 0.0
        origin = now - self._waiting[0].seconds if self._origin is None else self._origin
        return origin + self._waiting[-1].seconds - now

    def pump(self, now: float) -> float | None:
        """Play what is due.

        Returns:
            seconds until the next event is due; None when none waits.

        Raises:
            PortGone: the port went away.
        """
        if self._origin is None:
            self._begin(now)
        while self._waiting and self._origin is not None:
            late = now - (self._origin + self._waiting[0].seconds)
            if late < 0:
                return -late
            if late > LATEST_SECONDS:
                self._origin += late
            self._hands.play(self._waiting.popleft(), now)
        return None

    def _begin(self, now: float) -> None:
        if self._has_note:
            first = next(event for event in self._waiting if event.name == "NOTE_ON")
            while self._waiting[0] is not first:
                self._hands.play(self._waiting.popleft(), now)
            self._origin = now - first.seconds
        elif self._is_complete:
            self._waiting.clear()
