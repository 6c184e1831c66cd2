"""Numbers for pitches whose sum tells which pitches there are, in whichever order, and in any key.

The code of a pitch is a power of one odd number, modulo 2**64: two sums are equal when they are of
the same pitches, and otherwise only by a chance that does not happen. To transpose all notes of a
sum is to multiply it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perceiver_music.evaluation.note_text import Pitches, Places

Codes = npt.NDArray[np.uint64]

_BASE = 0xD1342543DE82EF95
_HIGHEST = 127
_POWERS: Codes = np.array(
    [pow(_BASE, power, 1 << 64) for power in range(-_HIGHEST, _HIGHEST + 1)], dtype=np.uint64
)
_OF_PITCHES = _POWERS[_HIGHEST:]
_LOWERING = _POWERS[_HIGHEST::-1].copy()


def codes_of(pitch: Pitches) -> Codes:
    """Of each pitch, 0 to 127."""
    return _OF_PITCHES[pitch]


def transposing(semitones: Places) -> Codes:
    """By what a code is multiplied when its notes move by so many semitones, -127 to 127."""
    return _POWERS[semitones + _HIGHEST]


def lowering(pitch: Pitches) -> Codes:
    """By what a code is multiplied when its notes move down by so many semitones, 0 to 127."""
    return _LOWERING[pitch]
