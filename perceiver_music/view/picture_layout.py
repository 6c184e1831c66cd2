"""Where everything stands in a picture: how wide it is, its systems, its moments and pitches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from perceiver_music.view.palette import STEPS
from perceiver_music.view.roll import Roll, text_width

WIDTH = 1600.0
"""Of most pictures; that of very short music is narrower."""
LEFT, RIGHT = 64.0, 28.0
HEADER, FOOTER = 108.0, 18.0
PITCH_HEIGHT = 4.4
PEDAL_HEIGHT, PEDAL_GAP = 11.0, 12.0
RULER, SYSTEM_GAP = 24.0, 30.0
MOST_SYSTEMS = 24
LARGEST_TITLE, SMALLEST_TITLE, FACTS_SIZE = 32.0, 9.0, 16.0
BETWEEN_FACTS = "  ·  "
RAMP_STEP, RAMP_GAP = 8.0, 28.0
"""The width of a shade in the legend, and what lies between two ramps."""
_ONE_SYSTEM_SECONDS, _SYSTEM_SECONDS = 75.0, 60.0
_MOST_PER_SECOND, _NARROWEST_ROLL = 150.0, 500.0
_LETTER_WIDTH = 0.55
"""Of a letter's height, on average."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything stands: systems of so many seconds, and the pitches of each."""

    width: float
    seconds: float
    system_seconds: float
    num_systems: int
    low: int
    high: int
    has_pedal: bool

    @classmethod
    def of(cls, roll: Roll) -> Layout:
        """Systems of equal length, as few as can be read; one alone is as long as the music."""
        each = max(1.0, roll.seconds)
        if roll.seconds > _ONE_SYSTEM_SECONDS:
            number = min(MOST_SYSTEMS, math.ceil(roll.seconds / _SYSTEM_SECONDS))
            each = math.ceil(roll.seconds / number / 5) * 5.0
        low, high = roll.pitch_range
        return cls(
            width=_width(roll, each),
            seconds=roll.seconds,
            system_seconds=each,
            num_systems=math.ceil(roll.seconds / each - 1e-9),
            low=low,
            high=high,
            has_pedal=roll.has_pedal,
        )

    @property
    def roll_height(self) -> float:
        """Of the pitches of one system."""
        return (self.high - self.low + 1) * PITCH_HEIGHT

    @property
    def system_height(self) -> float:
        """From one system to the next."""
        pedal = PEDAL_GAP + PEDAL_HEIGHT if self.has_pedal else 0.0
        return self.roll_height + pedal + RULER + SYSTEM_GAP

    @property
    def height(self) -> float:
        """Of the whole picture."""
        return HEADER + self.num_systems * self.system_height - SYSTEM_GAP + FOOTER

    @property
    def right(self) -> float:
        """Where a whole system ends, and the legend too."""
        return self.width - RIGHT

    @property
    def per_second(self) -> float:
        """Units of width a second."""
        return (self.right - LEFT) / self.system_seconds

    def top(self, system: int) -> float:
        """Where a system begins."""
        return HEADER + system * self.system_height

    def y(self, system: int, pitch: int) -> float:
        """The upper edge of a pitch."""
        return self.top(system) + (self.high - pitch) * PITCH_HEIGHT

    def pieces(self, begin: float, end: float) -> Iterator[tuple[int, float, float]]:
        """A stretch of time as (system, x, width): it may reach over the end of a system."""
        first = min(int(begin / self.system_seconds), self.num_systems - 1)
        last = min(max(first, math.ceil(end / self.system_seconds) - 1), self.num_systems - 1)
        for system in range(first, last + 1):
            origin = system * self.system_seconds
            left, right = max(begin, origin), min(end, origin + self.system_seconds)
            yield system, LEFT + (left - origin) * self.per_second, (right - left) * self.per_second

    def span(self, system: int) -> tuple[float, float]:
        """The times at which a system begins and ends; the last one ends with the music."""
        begin = system * self.system_seconds
        return begin, min(begin + self.system_seconds, max(self.seconds, begin + 1))


def _width(roll: Roll, system_seconds: float) -> float:
    """Of the whole picture: little music does not fill a large one, but its heading has room."""
    title = text_width(roll.title) * LARGEST_TITLE * _LETTER_WIDTH
    facts = text_width(BETWEEN_FACTS.join(roll.facts)) * FACTS_SIZE * _LETTER_WIDTH
    heading = max(title, facts) + 2 * RAMP_GAP + legend_width(roll)
    wanted = max(_NARROWEST_ROLL, _MOST_PER_SECOND * system_seconds, heading)
    return min(WIDTH, math.ceil(LEFT + wanted + RIGHT))


def legend_width(roll: Roll) -> float:
    """Of one ramp of shades, or of two side by side."""
    return RAMP_STEP * STEPS * (2 if roll.has_both else 1) + (RAMP_GAP if roll.has_both else 0.0)


def title_size(roll: Roll, layout: Layout) -> float:
    """As large as there is room beside the legend."""
    room = layout.right - LEFT - legend_width(roll) - RAMP_GAP
    fitting = room / _LETTER_WIDTH / max(1, text_width(roll.title))
    return min(LARGEST_TITLE, max(SMALLEST_TITLE, fitting))
