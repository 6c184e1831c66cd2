"""Which event may come next, so that whatever is drawn is music that a piano can play.

The rules are those of our own encoder's output: a key is struck only when it is silent and
released only when it sounds, at least one step later; a VELOCITY comes before the first NOTE_ON,
changes something, and a NOTE_ON follows it; after a TIME_SHIFT of less than the longest comes no
other, unless keys wait for the lines of a grid. Four rules are our own: only a piano's keys are
struck, a key is released by its deadline, time does not run on for long without an event, and just
before the end nothing is struck, for it could not be heard.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import HIGHEST_PIANO_PITCH, LOWEST_PIANO_PITCH
from perceiver_music.tokenizer import vocabulary as v

MAX_HELD_STEPS: Final = 8 * 100
"""A key sounds for eight seconds at most, pedal included: of MAESTRO's notes fewer than one in
five hundred does longer, and a model that forgets a note would hold it for ever."""
MAX_REST_STEPS: Final = 4 * 100
"""The longest time without an event while nothing sounds."""
MAX_PAUSE_STEPS: Final = 6 * 100
"""The longest time without an event while something sounds."""
LAST_ONSET_STEPS: Final = 8
"""So near the end of new music no key is struck: it would be a blip, cut short by the end."""

_LONGEST_SHIFT = v.MAX_SHIFT_STEPS
_NUM_PITCHES = 128
_ONE = b"\1"


class Grammar:
    """What is sounding now, and what may follow.

    Args:
        sounding: pitch -> the step by which it must be released, for keys that sound already;
            steps count from where the new music begins.
        end_step: where the new music ends; time does not run past it. None for no such end.
        velocity_bin: the one in force, or None.
        locked: sounding keys that are not to be let go before their deadline.
        waited: steps of the first event, a TIME_SHIFT, that lie before the new music.
        reserved: pitch -> the step from which its key is left to others.
        last_onset_steps: so near the end no key is struck.
        longest_wait: steps after which a key must be struck again; None for no such limit.
        may_wait_on: whether time may follow any time.
    """

    def __init__(
        self,
        sounding: Mapping[int, int] | None = None,
        *,
        end_step: int | None = None,
        velocity_bin: int | None = None,
        locked: Collection[int] = (),
        waited: int = 0,
        reserved: Mapping[int, int] | None = None,
        last_onset_steps: int = LAST_ONSET_STEPS,
        longest_wait: int | None = None,
        may_wait_on: bool = False,
    ) -> None:
        self.step = 0
        self.last_onset_step = 0
        self.last_release_step = 0
        self.onset_step: dict[int, int] = dict.fromkeys(sounding or {}, -1)
        self.deadline: dict[int, int] = dict(sounding or {})
        # Of bytes, which cost a tenth of an array where little is done to each.
        self._is_free = bytearray(_ONE * _NUM_PITCHES)
        self._may_be_released = bytearray(_NUM_PITCHES)
        self._just_struck: list[int] = []
        for pitch in self.onset_step:
            self._is_free[pitch], self._may_be_released[pitch] = 0, 1
        self._end_step = end_step
        self._last_onset = (
            None if end_step is None else end_step - min(last_onset_steps, end_step // 4)
        )
        self._velocity_bin = velocity_bin
        self._locked = frozenset(locked)
        self._waited = waited
        self._reserved = dict(reserved or {})
        self.longest_wait = longest_wait
        self._may_wait_on = may_wait_on
        self._needs_note = False
        self.steps_since_event = 0
        self._is_shift_over = False

    @property
    def _is_release_due(self) -> bool:
        return min(self.deadline.values(), default=self.step + 1) <= self.step

    @property
    def is_silent(self) -> bool:
        """Whether no key sounds."""
        return not self.onset_step

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which ids may come next, `[vocabulary]`; never none."""
        return np.frombuffer(self._mask(), dtype=np.bool_)

    def _mask(self) -> bytearray:
        mask = bytearray(v.VOCABULARY_SIZE)
        if self._waited:
            first = self._first_times()
            mask[first] = _ONE * (first.stop - first.start)
            return mask
        if self._is_release_due and not self._needs_note:
            for pitch, deadline in self.deadline.items():
                mask[v.NOTE_OFF + pitch] = deadline <= self.step
            return mask
        if self._needs_note or not self.is_too_late_to_strike:
            self._allow_striking(mask)
        if not self._needs_note:
            self._allow_releasing(mask)
            longest = self._longest_shift(is_only_way=1 not in mask)
            mask[v.TIME_SHIFT : v.TIME_SHIFT + longest] = _ONE * longest
        return mask

    def _allow_striking(self, mask: bytearray) -> None:
        is_free = self._is_free
        if self._reserved:
            is_free = is_free.copy()
            for pitch, step in self._reserved.items():
                is_free[pitch] &= step > self.step
        is_free = is_free[LOWEST_PIANO_PITCH : HIGHEST_PIANO_PITCH + 1]
        if self._velocity_bin is not None:
            lowest = v.NOTE_ON + LOWEST_PIANO_PITCH
            mask[lowest : lowest + len(is_free)] = is_free
        if not self._needs_note and 1 in is_free:
            mask[v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS] = _ONE * v.NUM_VELOCITY_BINS
            if self._velocity_bin is not None:
                mask[v.VELOCITY + self._velocity_bin] = 0

    def _allow_releasing(self, mask: bytearray) -> None:
        mask[v.NOTE_OFF : v.NOTE_OFF + _NUM_PITCHES] = self._may_be_released
        for pitch in self._locked:
            mask[v.NOTE_OFF + pitch] = 0

    def _first_times(self) -> slice:
        shortest = v.TIME_SHIFT + self._waited - 1
        longest = min(shortest + self._longest_shift(), v.TIME_SHIFT + _LONGEST_SHIFT - 1)
        return slice(shortest, longest + 1)

    @property
    def is_too_late_to_strike(self) -> bool:
        """Whether the end is so near that no key is struck any more."""
        return self._last_onset is not None and self._last_onset <= self.step

    @property
    def longest_time(self) -> int:
        """Steps that may pass before something must happen; not for a deadline or the end."""
        limit = MAX_REST_STEPS if self.is_silent else MAX_PAUSE_STEPS
        left = limit - self.steps_since_event
        if self.longest_wait is not None and not self.is_too_late_to_strike:
            left = min(left, self.longest_wait - (self.step - self.last_onset_step))
        return left

    def _longest_shift(self, *, is_only_way: bool = False) -> int:
        """Steps that may pass; neither a rest's limit nor a shift before ends music in mid-air."""
        most = _LONGEST_SHIFT
        if not is_only_way:
            if self._is_shift_over and not self.is_too_late_to_strike:
                return 0
            most = min(most, self.longest_time)
        if self.deadline:
            most = min(most, min(self.deadline.values()) - self.step)
        if self._end_step is not None:
            most = min(most, self._end_step - self.step)
        return max(0, most)

    def skip(self, token: int) -> None:
        """Go on by an allowed TIME_SHIFT whose time is not part of the music."""
        step, struck = self.step, self._just_struck.copy()
        self.take(token)
        self.step, self._just_struck = step, struck
        for pitch in struck:
            self._may_be_released[pitch] = 0

    def take(self, token: int) -> None:
        """Go on by one allowed event."""
        kind, value = v.describe(token)
        self._needs_note = kind == "VELOCITY"
        if kind == "TIME_SHIFT":
            self._wait(value)
            return
        self.steps_since_event = 0
        self._is_shift_over = False
        if kind == "NOTE_ON":
            self.onset_step[value] = self.last_onset_step = self.step
            self.deadline[value] = self.step + MAX_HELD_STEPS
            self._is_free[value] = 0
            self._just_struck.append(value)
        elif kind == "NOTE_OFF":
            del self.onset_step[value], self.deadline[value]
            self._is_free[value], self._may_be_released[value] = 1, 0
            self.last_release_step = self.step
        elif kind == "VELOCITY":
            self._velocity_bin = token - v.VELOCITY

    def _wait(self, steps: int) -> None:
        self.step += steps - self._waited
        self.steps_since_event += steps - self._waited
        self._waited = 0
        self._is_shift_over = steps < _LONGEST_SHIFT and not self._may_wait_on
        for pitch in self._just_struck:
            self._may_be_released[pitch] = 1 - self._is_free[pitch]
        self._just_struck.clear()
