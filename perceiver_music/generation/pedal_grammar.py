"""Which event may come next where the pedal is played too (`tokenizer.pedal_events`).

Keys follow the rules of `Grammar`. A PEDAL changes the pedal's value; within a step releases and
pedal moves come before onsets; and a pedal that holds notes of the opening comes up by the moment
at which it came up there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.primer import Opening, PedalInForce
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.pedal_events import NUM_PEDAL_VALUES, PEDAL

MAX_MOVES_PER_STEP: Final = 4
"""Pedal moves within 10 ms; MAESTRO has two at most."""

_VELOCITIES = slice(v.VELOCITY, v.VELOCITY + v.PEDAL.num_velocities)
_PEDALS = slice(PEDAL, PEDAL + NUM_PEDAL_VALUES)


class PedalGrammar(Grammar):
    """What is sounding now, where the pedal stands, and what may follow.

    Args:
        sounding: as for `Grammar`.
        pedal: where the pedal stands.
        velocity_bin: the velocity in force less one, or None.
        rules: the other arguments of `Grammar`.
    """

    def __init__(
        self,
        sounding: Mapping[int, int] | None = None,
        *,
        pedal: PedalInForce,
        velocity_bin: int | None = None,
        **rules: Any,
    ) -> None:
        # The rules for keys only ask whether there is a velocity, not which.
        super().__init__(sounding, velocity_bin=None if velocity_bin is None else 0, **rules)
        self._velocity = velocity_bin
        self._pedal = pedal.value
        self._lift_step = pedal.lift_step
        self._num_moves = 0
        self._has_onset = False

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which ids may come next, `[vocabulary]`; never none."""
        for_keys = super().allowed()
        mask = np.zeros(v.PEDAL.size, dtype=np.bool_)
        mask[: v.VELOCITY] = for_keys[: v.VELOCITY]
        if self._needs_note or self._is_release_due or self._waited:
            return mask
        if self._lift_step is not None and self._lift_step <= self.step:
            mask[:] = False
            mask[PEDAL : PEDAL + PEDAL_DOWN_VALUE] = True
            return mask
        mask[_VELOCITIES] = for_keys[v.VELOCITY : v.VELOCITY + v.NUM_VELOCITY_BINS].any()
        if self._velocity is not None:
            mask[v.VELOCITY + self._velocity] = False
        if self._has_onset:
            mask[v.NOTE_OFF : v.TIME_SHIFT] = False
        elif self._num_moves < MAX_MOVES_PER_STEP:
            mask[_PEDALS] = True
            mask[PEDAL + self._pedal] = False
        return mask

    def _longest_shift(self, *, is_only_way: bool = False) -> int:
        most = super()._longest_shift(is_only_way=is_only_way)
        return most if self._lift_step is None else max(0, min(most, self._lift_step - self.step))

    def take(self, token: int) -> None:
        """Go on by one allowed event."""
        kind, value = v.PEDAL.describe(token)
        if kind == "PEDAL":
            self._pedal = value
            self._num_moves += 1
            self._is_shift_over = False
            if value < PEDAL_DOWN_VALUE:
                self._lift_step = None
            return
        if kind == "VELOCITY":
            self._velocity = value - 1
            super().take(v.VELOCITY)
            return
        if kind == "TIME_SHIFT":
            self._num_moves, self._has_onset = 0, False
        elif kind == "NOTE_ON":
            self._has_onset = True
        super().take(token)

    def lift(self) -> list[int]:
        """What brings the pedal up, where it is not."""
        return [PEDAL] if self._pedal else []


def grammar_after(opening: Opening, limits: Limits, **rules: Any) -> Grammar:
    """The grammar of new music after an opening; `rules` are further ones of `Grammar`."""
    rules |= {
        "end_step": limits.end_step,
        "velocity_bin": opening.velocity_bin,
        "locked": opening.locked,
        "waited": opening.waited,
        "reserved": opening.reserved,
    }
    if opening.pedal is None:
        return Grammar(opening.sounding, **rules)
    return PedalGrammar(opening.sounding, pedal=opening.pedal, **rules)
