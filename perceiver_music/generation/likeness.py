"""How unlike two stretches of music are: in pace, loudness and pitch classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v

_OF_PACE = 20.0
"""For each factor of e between the notes a second."""
_OF_LOUDNESS = 1.0
"""For each step of MIDI velocity."""
_OF_PITCH_CLASSES = 20.0
"""Where they are not correlated, and nothing where they are the same."""


@dataclass(frozen=True, kw_only=True)
class _Portrait:
    num_notes: int
    seconds: float
    loudness: float
    pitch_classes: npt.NDArray[np.float64]


def unlikeness(music: Sequence[int], other: Sequence[int]) -> float:
    """How unlike two stretches of events are: 0 for the same, in nats as they are weighed.

    Where nothing is played in one of them only the pace tells. Each begins with the velocity that
    its first note has.
    """
    one, two = _portrait(music), _portrait(other)
    paces = [(1 + each.num_notes) / (1 + each.seconds) for each in (one, two)]
    found = _OF_PACE * abs(math.log(paces[0] / paces[1]))
    if not one.num_notes or not two.num_notes:
        return found
    found += _OF_LOUDNESS * abs(one.loudness - two.loudness)
    cosine = float(one.pitch_classes @ two.pitch_classes)
    return found + _OF_PITCH_CLASSES * (1.0 - cosine)


def _portrait(tokens: Sequence[int]) -> _Portrait:
    steps, velocity = 0, math.nan
    velocities: list[float] = []
    counts = np.zeros(12)
    for token in tokens:
        if v.TIME_SHIFT <= token < v.VELOCITY:
            steps += token - v.TIME_SHIFT + 1
        elif v.VELOCITY <= token < v.NUM_EVENT_IDS:
            velocity = float(v.MAESTRO.midi_velocity(token - v.VELOCITY + 1))
        elif v.NOTE_ON <= token < v.NOTE_OFF:
            velocities.append(velocity)
            counts[(token - v.NOTE_ON) % 12] += 1
    # About their mean, so that the product of two of them is their correlation.
    centred = counts - counts.mean()
    size = float(np.linalg.norm(centred))
    return _Portrait(
        num_notes=len(velocities),
        seconds=steps / v.STEPS_PER_SECOND,
        loudness=float(np.mean(velocities)) if velocities else 0.0,
        pitch_classes=centred / size if size else centred,
    )
