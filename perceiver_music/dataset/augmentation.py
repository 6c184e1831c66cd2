"""Variants of a performance that are music too: other keys, tempos and touches.

A variant that would leave the piano or the velocity scale is not among the choices; nothing is
clipped, because a clipped note is a wrong note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.performance import (
    HIGHEST_PIANO_PITCH,
    LOWEST_PIANO_PITCH,
    Performance,
)
from perceiver_music.tokenizer.vocabulary import MAESTRO, NOTE_OFF, TIME_SHIFT, Vocabulary

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """What may be varied, and how far.

    Attributes:
        transpose: semitones up or down, at most; 0 for none.
        velocity_shift: values of the vocabulary's VELOCITY up or down, at most; 0 for none.
        stretch: factors on all times, one of which is drawn; (1.0,) for none.
    """

    transpose: int = 0
    velocity_shift: int = 0
    stretch: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.transpose < 0 or self.velocity_shift < 0:
            raise ValueError("transpose and velocity_shift are 0 or more")
        if not self.stretch or not all(0.25 <= factor <= 4.0 for factor in self.stretch):
            raise ValueError("stretch is a list of factors from 0.25 to 4")


def vary_key_and_velocity(
    ids: Ids,
    rng: np.random.Generator,
    config: AugmentationConfig,
    vocabulary: Vocabulary = MAESTRO,
) -> Ids:
    """Transpose one window and play it softer or louder, by amounts drawn among those that fit.

    Args:
        ids: a window, specials included.
        rng: always used for exactly two draws, whatever the settings.
        config: the limits.
        vocabulary: what the ids mean.
    """
    key_draw, velocity_draw = rng.random(2)
    is_pitch = ids < TIME_SHIFT
    velocity = ids - vocabulary.first_id["VELOCITY"]
    is_velocity = (velocity >= 0) & (velocity < vocabulary.num_velocities)
    semitones = _draw_change(
        ids[is_pitch] % NOTE_OFF,
        LOWEST_PIANO_PITCH,
        HIGHEST_PIANO_PITCH,
        config.transpose,
        key_draw,
    )
    louder = _draw_change(
        velocity[is_velocity],
        0,
        vocabulary.num_velocities - 1,
        config.velocity_shift,
        velocity_draw,
    )
    return ids + semitones * is_pitch + louder * is_velocity


def _draw_change(values: Ids, lowest: int, highest: int, most: int, draw: float) -> int:
    if most == 0 or len(values) == 0:
        return 0
    # A value outside the range already (an extended keyboard) still allows no change at all.
    down = min(most, max(0, int(values.min()) - lowest))
    up = min(most, max(0, highest - int(values.max())))
    return int(draw * (down + up + 1)) - down


def stretched(performance: Performance, factor: float) -> Performance:
    """All times multiplied by `factor`, before any grid."""
    notes, pedal = performance.notes.copy(), performance.pedal.copy()
    for table, column in ((notes, "start_us"), (notes, "end_us"), (pedal, "time_us")):
        table[column] = np.rint(table[column] * factor).astype(np.int64)
    return Performance(notes, pedal)
