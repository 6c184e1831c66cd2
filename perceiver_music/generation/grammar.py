"""Which event may come next, so that whatever is drawn is music that a piano can play.

The rules are those of our own encoder's output: a key is struck only when it is silent and
released only when it sounds, at least one step later; a VELOCITY comes before the first NOTE_ON,
changes something, and a NOTE_ON follows it; after a TIME_SHIFT of less than the longest comes no
other. Three rules are our own: a key is released by its deadline, time does not run on for long
without an event, and just before the end nothing is struck, for it could not be heard.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v

MAX_HELD_STEPS: Final = 8 * 100
"""A key sounds for eight seconds at most, pedal included: of MAESTRO's notes fewer than one in
five hundred does longer, and a model that forgets a note would hold it for ever."""
MAX_REST_STEPS: Final = 4 * 100
"""The longest time without an event while nothing sounds."""
MAX_PAUSE_STEPS: Final = 6 * 100
"""The longest time without an event while something sounds."""
_LAST_ONSET_STEPS = 8
"""So near the end of new music no key is struck: it would be a blip, cut short by the end."""

_LONGEST_SHIFT = v.MAX_SHIFT_STEPS
_NUM_PITCHES = 128
_NEVER = 1 << 60


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
    ) -> None:
        self.step = 0
        self.last_onset_step = 0
        self.last_release_step = 0
        self.onset_step: dict[int, int] = dict.fromkeys(sounding or {}, -1)
        self.deadline: dict[int, int] = dict(sounding or {})
        self._struck_at = np.full(_NUM_PITCHES, _NEVER)
        self._struck_at[list(self.onset_step)] = -1
        self._end_step = end_step
        self._last_onset = (
            None if end_step is None else end_step - min(_LAST_ONSET_STEPS, end_step // 4)
        )
        self._velocity_bin = velocity_bin
        self._locked = frozenset(locked)
        self._waited = waited
        self._reserved = dict(reserved or {})
        self._needs_note = False
        self._steps_since_event = 0
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
        mask = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
        if self._waited:
            mask[self._first_times()] = True
            return mask
        if self._is_release_due and not self._needs_note:
            due = [pitch for pitch, deadline in self.deadline.items() if deadline <= self.step]
            mask[[v.NOTE_OFF + pitch for pitch in due]] = True
            return mask
        is_free = self._free_keys()
        if self._velocity_bin is not None:
            mask[v.NOTE_ON : v.NOTE_ON + _NUM_PITCHES] = is_free
        if self._needs_note:
            return mask
        mask[v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS] = is_free.any()
        if self._velocity_bin is not None:
            mask[v.VELOCITY + self._velocity_bin] = False
        if self._is_too_late_to_strike:
            mask[:] = False
        mask[v.NOTE_OFF : v.NOTE_OFF + _NUM_PITCHES] = self._struck_at < self.step
        for pitch in self._locked:
            mask[v.NOTE_OFF + pitch] = False
        mask[v.TIME_SHIFT : v.TIME_SHIFT + self._longest_shift()] = True
        return mask

    def _free_keys(self) -> npt.NDArray[np.bool_]:
        is_free = self._struck_at == _NEVER
        for pitch, step in self._reserved.items():
            if step <= self.step:
                is_free[pitch] = False
        return is_free

    def _first_times(self) -> slice:
        shortest = v.TIME_SHIFT + self._waited - 1
        longest = min(shortest + self._longest_shift(), v.TIME_SHIFT + _LONGEST_SHIFT - 1)
        return slice(shortest, longest + 1)

    @property
    def _is_too_late_to_strike(self) -> bool:
        return self._last_onset is not None and self._last_onset <= self.step

    def _longest_shift(self) -> int:
        if self._is_shift_over and not self._is_too_late_to_strike:
            return 0
        limit = MAX_REST_STEPS if self.is_silent else MAX_PAUSE_STEPS
        most = min(_LONGEST_SHIFT, limit - self._steps_since_event)
        if self.deadline:
            most = min(most, min(self.deadline.values()) - self.step)
        if self._end_step is not None:
            most = min(most, self._end_step - self.step)
        return max(0, most)

    def skip(self, token: int) -> None:
        """Go on by an allowed TIME_SHIFT whose time is not part of the music."""
        step = self.step
        self.take(token)
        self.step = step

    def take(self, token: int) -> None:
        """Go on by one allowed event."""
        kind, value = v.describe(token)
        self._needs_note = kind == "VELOCITY"
        if kind == "TIME_SHIFT":
            self.step += value - self._waited
            self._steps_since_event += value - self._waited
            self._waited = 0
            self._is_shift_over = value < _LONGEST_SHIFT
            return
        self._steps_since_event = 0
        self._is_shift_over = False
        if kind == "NOTE_ON":
            self.onset_step[value] = self.last_onset_step = self._struck_at[value] = self.step
            self.deadline[value] = self.step + MAX_HELD_STEPS
        elif kind == "NOTE_OFF":
            del self.onset_step[value], self.deadline[value]
            self._struck_at[value] = _NEVER
            self.last_release_step = self.step
        elif kind == "VELOCITY":
            self._velocity_bin = token - v.VELOCITY
