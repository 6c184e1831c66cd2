"""How an answer that has become long enough comes to a stop: at a breath, its last chord ringing.

A model goes on for as long as it is let, so that an answer would be cut wherever its longest
length happens to fall. In its last seconds it is therefore led to a stop (`winding_down.py`), and
stops at the first long note or rest; how long is long enough becomes less the nearer the limit is.
What sounds then rings a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from perceiver_music.tokenizer import pedal_events
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.event_reader import Event

RING_SECONDS: Final = 1.0
LARGEST_RING: Final = 0.25
"""Of the longest length."""
SEARCH_SECONDS: Final = 5.0
LARGEST_SEARCH: Final = 0.25
"""Of the longest length."""
LED_SECONDS: Final = 8.0
LARGEST_LED: Final = 0.4
"""Of the longest length."""
LONG_BREATH_SECONDS: Final = 1.0
"""So long without a new key ends an answer where the search for its stop begins."""


def led_from(longest_seconds: float) -> float:
    """The share of an answer's longest length from which it is led to a stop."""
    led = min(LED_SECONDS, LARGEST_LED * longest_seconds)
    return max(0.0, (_last_seconds(longest_seconds) - led) / longest_seconds)


def brought_to_a_stop(events: Iterable[Event], *, longest_seconds: float) -> Iterator[Event]:
    """The events up to a breath in the last seconds before the limit, and the releases then.

    Args:
        events: of an answer, in order of time; without a stop they would go on to the limit.
        longest_seconds: the limit, counted as the events count.
    """
    stop = _Stop(longest_seconds)
    struck: float | None = None
    down: set[int] = set()
    pedal = 0
    for event in events:
        if event.name == "TIME_SHIFT" and struck is not None and stop.is_at(event, struck):
            yield from _releases(event, stop.rings_until(event.seconds, struck), down, pedal)
            return
        yield event
        if event.name == "NOTE_ON":
            struck = event.seconds
            down.add(event.value)
        elif event.name == "NOTE_OFF":
            down.discard(event.value)
        elif event.name == "PEDAL":
            pedal = event.value


class _Stop:
    """Where an answer may end."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._last = _last_seconds(longest_seconds)
        self._first = self._last - min(SEARCH_SECONDS, LARGEST_SEARCH * longest_seconds)

    def is_at(self, time: Event, struck: float) -> bool:
        """Whether it ends before this TIME_SHIFT, the latest key having been struck then."""
        passes = time.seconds + time.value / v.STEPS_PER_SECOND
        if passes > self._last:
            return True
        searched = (time.seconds - self._first) / (self._last - self._first)
        return searched >= 0 and passes - struck >= LONG_BREATH_SECONDS * (1 - searched**2)

    def rings_until(self, now: float, struck: float) -> float:
        return max(now, min(self._longest, struck + RING_SECONDS))


def _last_seconds(longest_seconds: float) -> float:
    return longest_seconds - min(RING_SECONDS, LARGEST_RING * longest_seconds)


def _releases(at: Event, seconds: float, down: set[int], pedal: int) -> Iterator[Event]:
    for pitch in sorted(down):
        yield Event(seconds, v.NOTE_OFF + pitch, "NOTE_OFF", pitch, at.velocity)
    if pedal:
        yield Event(seconds, pedal_events.PEDAL, "PEDAL", 0, at.velocity)
