"""Ticks of a MIDI file to microseconds and back, in whole numbers.

A moment is `sum(ticks * tempo)` over the tempi passed, which is an exact whole number of
`microseconds * ticks_per_quarter`. It is divided once, rounding down: so every comparison of a
moment with a whole microsecond, such as the boundaries of the 10 ms grid, comes out as it would
with the exact fraction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from perceiver_music.music.moments import MAX_MUSIC_SECONDS
from perceiver_music.music.performance import MICROSECONDS

DEFAULT_US_PER_QUARTER = 500_000
"""The tempo of a file that names none: 120 quarter notes a minute."""

MAX_MUSIC_US = MAX_MUSIC_SECONDS * MICROSECONDS

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TempoMap:
    """When each tick sounds.

    Attributes:
        ticks_per_quarter: resolution, above zero. SMPTE divisions are rewritten to one, exactly.
        ticks: where each tempo begins, rising, the first at 0. Tempi that would begin beyond
            `MAX_MUSIC_US` are not in the table.
        us_per_quarter: the tempi, microseconds a quarter note, above zero.
    """

    ticks_per_quarter: int
    ticks: IntArray
    us_per_quarter: IntArray
    _start: IntArray = field(repr=False)

    @classmethod
    def from_changes(
        cls, ticks_per_quarter: int, changes: Iterable[tuple[int, int]] = ()
    ) -> TempoMap:
        """Build the map from `(tick, us_per_quarter)` changes in any order.

        Of several changes at one tick the last one given holds.
        """
        limit = MAX_MUSIC_US * ticks_per_quarter
        table: list[tuple[int, int, int]] = [(0, DEFAULT_US_PER_QUARTER, 0)]
        for tick, tempo in sorted(changes, key=lambda change: change[0]):
            last_tick, last_tempo, last_start = table[-1]
            start = last_start + (tick - last_tick) * last_tempo
            if start > limit:
                break
            if tick == last_tick:
                table.pop()
            table.append((tick, tempo, start))
        ticks, tempi, starts = np.array(table, dtype=np.int64).T.copy()
        for column in (ticks, tempi, starts):
            column.flags.writeable = False
        return cls(
            ticks_per_quarter=ticks_per_quarter, ticks=ticks, us_per_quarter=tempi, _start=starts
        )

    @property
    def is_told(self) -> bool:
        """Whether it is other than that of a file without any tempo."""
        return len(self.ticks) > 1 or int(self.us_per_quarter[0]) != DEFAULT_US_PER_QUARTER

    def on_ticks(self, ticks_per_quarter: int) -> TempoMap:
        """The same tempi over longer or shorter ticks, each from the tick nearest to its own on."""
        ticks = nearest_ticks(self.ticks, self.ticks_per_quarter, ticks_per_quarter)
        changes = zip(ticks.tolist(), self.us_per_quarter.tolist(), strict=True)
        return TempoMap.from_changes(ticks_per_quarter, changes)

    def until(self, last_tick: int) -> TempoMap:
        """The same up to a tick, itself included; its last tempo then holds."""
        return TempoMap.from_changes(
            self.ticks_per_quarter,
            [
                (tick, tempo)
                for tick, tempo in zip(
                    self.ticks.tolist(), self.us_per_quarter.tolist(), strict=True
                )
                if tick <= last_tick
            ],
        )

    def until_us(self, us: int) -> TempoMap:
        """The same up to a moment, itself included; its last tempo then holds."""
        row = int(np.searchsorted(self._start, us * self.ticks_per_quarter, side="right")) - 1
        return self.until(int(self.ticks[row]))

    @property
    def last_tick(self) -> int:
        """The last tick that sounds within `MAX_MUSIC_US`; later ones must not be converted."""
        left = MAX_MUSIC_US * self.ticks_per_quarter - int(self._start[-1])
        return int(self.ticks[-1]) + left // int(self.us_per_quarter[-1])

    def ticks_to_us(self, ticks: npt.ArrayLike) -> IntArray:
        """Microseconds of each tick, rounded down; ticks from 0 to `last_tick`."""
        wanted = np.asarray(ticks, dtype=np.int64)
        if len(self.ticks) == 1:
            return np.asarray(wanted * self.us_per_quarter[0] // self.ticks_per_quarter)
        row = np.searchsorted(self.ticks, wanted, side="right") - 1
        moment = self._start[row] + (wanted - self.ticks[row]) * self.us_per_quarter[row]
        return np.asarray(moment // self.ticks_per_quarter)

    def us_to_ticks(self, us: npt.ArrayLike) -> IntArray:
        """The tick nearest to each moment from 0 to `MAX_MUSIC_US`."""
        moment = np.asarray(us, dtype=np.int64) * self.ticks_per_quarter
        row = np.searchsorted(self._start, moment, side="right") - 1
        tempo = self.us_per_quarter[row]
        return np.asarray(self.ticks[row] + (moment - self._start[row] + tempo // 2) // tempo)

    def quarter_at(self, us: int) -> int:
        """The tempo, microseconds a quarter note, that holds at a moment."""
        row = int(np.searchsorted(self._start, us * self.ticks_per_quarter, side="right")) - 1
        return int(self.us_per_quarter[row])


def nearest_ticks(ticks: npt.ArrayLike, old: int, new: int) -> IntArray:
    """Ticks, `old` of them a quarter note, where there are `new` ones; halfway the later one."""
    return (np.asarray(ticks, dtype=np.int64) * (2 * new) + old) // (2 * old)
