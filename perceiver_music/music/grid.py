"""The grid of a quantized file: moments, so many to a quarter note, at which all its notes begin.

Files that no one played, from notation programs and sequencers, keep to one; a performance that
was recorded does not, whatever its tempo says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import MICROSECONDS
from perceiver_music.music.tempo_map import IntArray, TempoMap

HEARD_US: Final = 60 * MICROSECONDS
"""A file's grid is that of its last minute; later it may be played freely, or in triplets."""
FEWEST_MOMENTS: Final = 12
LINES_PER_QUARTER: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24)
NARROWEST_US: Final = 40_000
"""Lines nearer to each other are near to any moment."""
SHARE_ON_LINES: Final = 0.95
"""The rest are ornaments, which a grid has no room for."""
_TICKS_FOR_SLACK: Final = 12
"""With fewer between lines, a tick more or less would be chance."""
_UNHEARD_US: Final = 3_000
_FEWEST_TICKS: Final = 3

_QUARTERS_OF_NO_METER: Final = 4
_COUNTS_OF_A_QUARTER: Final = 16.0
"""What all quarters together say of a bar counts as much as so many moments in it."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Moments at equal distances in quarter notes, the first at 0.

    Attributes:
        tempo_map: when each tick sounds.
        lines_per_quarter: how many of them there are.
        share: for each line of a bar, how often something begins there, beside the average one.
        first_line: one at which a bar begins.
    """

    tempo_map: TempoMap
    lines_per_quarter: int
    share: tuple[float, ...]
    first_line: int

    def nearest_us(self, us: npt.ArrayLike) -> IntArray:
        """The line nearest to each moment from 0 to `MAX_MUSIC_US`."""
        return self._moments(self._lines(us))

    def nearest_and_share(self, us: npt.ArrayLike) -> tuple[IntArray, npt.NDArray[np.float64]]:
        """The same, and the share of each of those lines."""
        lines = self._lines(us)
        places = (lines - self.first_line) % len(self.share)
        return self._moments(lines), np.array(self.share)[places]

    def _lines(self, us: npt.ArrayLike) -> IntArray:
        tempo_map = self.tempo_map
        ticks = tempo_map.us_to_ticks(us)
        return lines_at(ticks, tempo_map.ticks_per_quarter, self.lines_per_quarter)

    def _moments(self, lines: IntArray) -> IntArray:
        tempo_map = self.tempo_map
        ticks = ticks_of(lines, tempo_map.ticks_per_quarter, self.lines_per_quarter)
        return tempo_map.ticks_to_us(np.minimum(ticks, tempo_map.last_tick))


def lines_at(ticks: npt.ArrayLike, ticks_per_quarter: int, lines_per_quarter: int) -> IntArray:
    """The number of the line nearest to each tick; halfway the later one."""
    lines = np.floor(np.asarray(ticks) * (lines_per_quarter / ticks_per_quarter) + 0.5)
    return np.asarray(lines, dtype=np.int64)


def ticks_of(lines: IntArray, ticks_per_quarter: int, lines_per_quarter: int) -> IntArray:
    """The tick nearest to each line."""
    ticks = np.rint(lines * (ticks_per_quarter / lines_per_quarter))
    return np.asarray(ticks, dtype=np.int64)


def grid_of(file: MidiFile, from_us: int, to_us: int) -> Grid | None:
    """The widest grid of what begins in a part of a file; None if that is on none.

    Its tempi after that part are those of the file.
    """
    starts = file.performance.notes["start_us"]
    is_heard = (starts >= max(from_us, to_us - HEARD_US)) & (starts < to_us)
    moments = np.unique(file.note_ticks["start_tick"][is_heard])
    if len(moments) < FEWEST_MOMENTS:
        return None
    per_quarter = file.tempo_map.ticks_per_quarter
    quarter_us = file.tempo_map.quarter_at(to_us)
    for count in LINES_PER_QUARTER:
        ticks = per_quarter / count
        if ticks < _FEWEST_TICKS or quarter_us / count < NARROWEST_US:
            return None
        lines = lines_at(moments, per_quarter, count)
        off = np.abs(moments - ticks_of(lines, per_quarter, count))
        # A tick more or less is rounding, where lines lie between ticks or ticks are short.
        is_rounded = per_quarter % count or quarter_us / per_quarter <= _UNHEARD_US
        slack = 1 if is_rounded and ticks >= _TICKS_FOR_SLACK else 0
        if float(np.mean(off <= slack)) >= SHARE_ON_LINES:
            first_line, lines_per_bar = _bar(file, to_us, count)
            return Grid(
                tempo_map=file.tempo_map,
                lines_per_quarter=count,
                share=_share(lines - first_line, count, lines_per_bar),
                first_line=first_line,
            )
    return None


def _bar(file: MidiFile, at_us: int, lines_per_quarter: int) -> tuple[int, int]:
    """A line at which a bar begins, and how many lines there are in one."""
    tick = int(file.tempo_map.us_to_ticks(at_us))
    meters = [meta for meta in file.time_signatures if meta.tick <= tick]
    if meters:
        numerator, power_of_two = meters[-1].data[0], meters[-1].data[1]
        lines = math.ldexp(numerator * 4 * lines_per_quarter, -power_of_two)
        if lines >= 1 and lines == int(lines):
            first = lines_at(meters[-1].tick, file.tempo_map.ticks_per_quarter, lines_per_quarter)
            return int(first), int(lines)
    return 0, _QUARTERS_OF_NO_METER * lines_per_quarter


def _share(lines: IntArray, lines_per_quarter: int, lines_per_bar: int) -> tuple[float, ...]:
    """From a few bars, whose counts are filled up with those of any of their quarters."""
    in_quarter = np.bincount(lines % lines_per_quarter, minlength=lines_per_quarter)
    of_quarter = (in_quarter + 1.0 / lines_per_quarter) / (len(lines) + 1.0)
    in_bar = np.bincount(lines % lines_per_bar, minlength=lines_per_bar)
    expected = of_quarter[np.arange(lines_per_bar) % lines_per_quarter]
    expected *= _COUNTS_OF_A_QUARTER / expected.sum()
    shares = (in_bar + expected) / (len(lines) + _COUNTS_OF_A_QUARTER)
    return tuple((shares * lines_per_bar).tolist())
