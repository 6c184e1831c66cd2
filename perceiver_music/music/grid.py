"""The grid of a quantized file: moments, so many to a quarter note, at which all its notes begin.

Files that no one played, from notation programs and sequencers, keep to one; a performance that
was recorded does not, whatever its tempo says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import MICROSECONDS
from perceiver_music.music.tempo_map import IntArray, TempoMap

HEARD_US: Final = 60 * MICROSECONDS
"""A file's grid is that of its last minute; before, it may be played freely, or in triplets."""
FEWEST_MOMENTS: Final = 8
LINES_PER_QUARTER: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24)
NARROWEST_US: Final = 25_000
"""Lines nearer to each other are near to any moment."""
SHARE_ON_LINES: Final = 0.95
"""The rest are ornaments, which a grid has no room for."""
_UNHEARD_US: Final = 3_000
"""So far off is a matter of a file's resolution."""
_SMALLEST_SLACK: Final = 12
"""Of the distance between lines that is off by chance; more would be too many."""
_FEWEST_TICKS: Final = 3
_ROUNDING: Final = 1e-6
_SAME_TEMPO: Final = 0.002
"""A share of a passage by which its length may be off."""

_QUARTERS_OF_NO_METER: Final = 4
_COUNTS_OF_A_QUARTER: Final = 16.0
"""What all quarters together say of a bar counts as much as so many moments in it."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Moments at equal distances in quarter notes.

    Attributes:
        tempo_map: when each tick sounds.
        lines_per_quarter: how many of them there are.
        offset: the tick of line 0.
        share: for each line of a bar, how often something begins there, beside the average one.
        first_line: one that the first of these stands for.
        bar_tick: at which a bar begins.
        ticks_per_bar: how long one is, by the meter.
    """

    tempo_map: TempoMap
    lines_per_quarter: int
    offset: int
    share: tuple[float, ...]
    first_line: int
    bar_tick: int
    ticks_per_bar: float

    def keeping_tempo(self, us: int) -> Grid:
        """The same up to a moment, and in the tempo of that moment from there on."""
        return replace(self, tempo_map=self.tempo_map.until_us(us))

    def nearest_us(self, us: npt.ArrayLike) -> IntArray:
        """The line nearest to each moment from 0 to `MAX_MUSIC_US`; halfway the later one."""
        return self._moments(self._lines(us))

    def after_nearest_us(self, us: npt.ArrayLike) -> IntArray:
        """The line after the nearest one."""
        return self._moments(self._lines(us) + 1)

    def nearest_and_share(self, us: npt.ArrayLike) -> tuple[IntArray, npt.NDArray[np.float64]]:
        """The same, and the share of each of those lines."""
        lines = self._lines(us)
        places = (lines - self.first_line) % len(self.share)
        return self._moments(lines), np.array(self.share)[places]

    def bar_of(self, us: int) -> int:
        """When the bar begins that the first line from a moment on lies in; 0 before the first."""
        tick = self.tempo_map.us_to_ticks(max(0, us - _UNHEARD_US)) - self.offset
        first = round(math.ceil(tick / self._ticks) * self._ticks) + self.offset
        bars = math.floor((first - self.bar_tick) / self.ticks_per_bar + _ROUNDING)
        begins = round(self.bar_tick + bars * self.ticks_per_bar)
        return int(self.tempo_map.ticks_to_us(max(0, begins)))

    def again_us(self, was_us: int, end_us: int, now_us: int) -> int | None:
        """When, from now on, bars first lie as they did when something earlier began.

        None where its tempo, from then to its end, was not that of now: it would be another rhythm.
        """
        was, end, now = (int(self.tempo_map.us_to_ticks(us)) for us in (was_us, end_us, now_us))
        quarter_us = self.tempo_map.quarter_at(now_us)
        lasts_now = (end - was) * quarter_us / self.tempo_map.ticks_per_quarter
        if abs(lasts_now - (end_us - was_us)) > _SAME_TEMPO * (end_us - was_us):
            return None
        bars = math.ceil((now - was) / self.ticks_per_bar - _ROUNDING)
        return int(self.tempo_map.ticks_to_us(round(was + bars * self.ticks_per_bar)))

    @property
    def _ticks(self) -> float:
        return self.tempo_map.ticks_per_quarter / self.lines_per_quarter

    def _lines(self, us: npt.ArrayLike) -> IntArray:
        return _lines_at(self.tempo_map.us_to_ticks(us) - self.offset, self._ticks)

    def _moments(self, lines: IntArray) -> IntArray:
        tempo_map = self.tempo_map
        ticks = np.rint(lines * self._ticks).astype(np.int64) + self.offset
        us = tempo_map.ticks_to_us(ticks.clip(0, tempo_map.last_tick))
        # Before the beginning, where no line is to be at 0 for want of another place.
        early = np.minimum(ticks, 0) * int(tempo_map.us_per_quarter[0])
        return np.asarray(us + early // tempo_map.ticks_per_quarter)


def grid_of(file: MidiFile, from_us: int, to_us: int, after_us: int | None = None) -> Grid | None:
    """The widest grid of what begins in a part of a file; None if that is on none.

    Its tempi after that part are those of the file.

    Args:
        file: the file.
        from_us: where the part begins.
        to_us: where it ends; its last minute counts.
        after_us: where another part begins, whose first minute counts, too.
    """
    moments = _moments_heard(file, from_us, to_us, after_us)
    if len(moments) < FEWEST_MOMENTS:
        return None
    per_quarter = file.tempo_map.ticks_per_quarter
    quarter_us = file.tempo_map.quarter_at(to_us)
    for count in LINES_PER_QUARTER:
        ticks = per_quarter / count
        if ticks < _FEWEST_TICKS or quarter_us / count < NARROWEST_US:
            return None
        offset = _offset(moments, ticks)
        lines = _lines_at(moments - offset, ticks)
        slack = _slack(per_quarter, count, quarter_us)
        is_on = np.abs(moments - offset - lines * ticks) <= slack
        if float(np.mean(is_on)) >= SHARE_ON_LINES:
            offset = 0 if abs(offset) <= slack else round(offset)
            lines = _lines_at(moments - offset, ticks)
            bar_tick, ticks_per_bar = _bar(file, to_us)
            first_line = int(_lines_at(bar_tick - offset, ticks))
            return Grid(
                tempo_map=file.tempo_map,
                lines_per_quarter=count,
                offset=offset,
                share=_share(lines - first_line, count, ticks_per_bar / ticks),
                first_line=first_line,
                bar_tick=bar_tick,
                ticks_per_bar=ticks_per_bar,
            )
    return None


def _moments_heard(file: MidiFile, from_us: int, to_us: int, after_us: int | None) -> IntArray:
    """Ticks at which notes begin; where little is played, of the last moments."""
    starts, ticks = file.performance.notes["start_us"], file.note_ticks["start_tick"]
    is_before = (starts >= from_us) & (starts < to_us)
    lately = np.unique(ticks[is_before & (starts >= to_us - HEARD_US)])
    if len(lately) < FEWEST_MOMENTS:
        lately = np.unique(ticks[is_before])[-FEWEST_MOMENTS:]
    if after_us is None:
        return lately
    is_after = (starts >= after_us) & (starts < after_us + HEARD_US)
    return np.union1d(lately, ticks[is_after])


def _lines_at(ticks: npt.ArrayLike, ticks_per_line: float) -> IntArray:
    """The number of the line nearest to each tick; halfway the later one."""
    return np.asarray(np.floor(np.asarray(ticks) / ticks_per_line + 0.5), dtype=np.int64)


def _offset(moments: IntArray, ticks_per_line: float) -> float:
    """How far behind the lines that begin with tick 0 all begins, by the mean on a circle."""
    angles = moments * (2.0 * np.pi / ticks_per_line)
    mean = np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())
    return float(mean * ticks_per_line / (2.0 * np.pi))


def _slack(per_quarter: int, lines_per_quarter: int, quarter_us: int) -> float:
    """Ticks that a moment may be off its line, for lack of resolution."""
    is_between_ticks = bool(per_quarter % lines_per_quarter)
    slack = max(float(is_between_ticks), _UNHEARD_US * per_quarter / quarter_us)
    return min(slack, per_quarter / lines_per_quarter / _SMALLEST_SLACK)


def _bar(file: MidiFile, at_us: int) -> tuple[int, float]:
    """A tick at which a bar begins, and how many ticks there are in one, by the meter there."""
    per_quarter = file.tempo_map.ticks_per_quarter
    meter = file.meter_at(at_us)
    if meter is None or not meter.data[0]:
        return 0, float(_QUARTERS_OF_NO_METER * per_quarter)
    numerator, power_of_two = meter.data[0], meter.data[1]
    return meter.tick, math.ldexp(numerator * 4 * per_quarter, -power_of_two)


def _share(lines: IntArray, lines_per_quarter: int, lines_per_bar: float) -> tuple[float, ...]:
    """From a few bars, whose counts are filled up with those of any of their quarters.

    Bars that are no whole number of lines are counted as if they had four quarters.
    """
    num_lines = round(lines_per_bar)
    if num_lines < 1 or abs(num_lines - lines_per_bar) > 1e-6:
        num_lines = _QUARTERS_OF_NO_METER * lines_per_quarter
    places = lines % num_lines
    in_bar = np.bincount(places, minlength=num_lines)
    in_quarter = np.bincount(places % lines_per_quarter, minlength=lines_per_quarter)
    of_quarter = (in_quarter + 1.0 / lines_per_quarter) / (len(lines) + 1.0)
    expected = of_quarter[np.arange(num_lines) % lines_per_quarter]
    expected *= _COUNTS_OF_A_QUARTER / expected.sum()
    shares = (in_bar + expected) / (len(lines) + _COUNTS_OF_A_QUARTER)
    return tuple((shares * num_lines).tolist())
