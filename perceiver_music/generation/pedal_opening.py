"""The beginning that a model goes on from, in events that keep the pedal."""

from __future__ import annotations

from typing import Final

import numpy as np

from perceiver_music.generation.primer import (
    EMPTY_OPENING,
    Opening,
    PedalInForce,
    Window,
    notes_within,
    opening_of,
    time_up_to,
    without_last_releases,
)
from perceiver_music.music.performance import PEDAL_DTYPE, PedalArray, Performance
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE, apply_sustain
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.base import Tokenizer
from perceiver_music.tokenizer.pedal_events import encode

EMPTY_PEDAL_OPENING: Final = Opening(
    tokens=(v.PEDAL.bos,),
    sounding={},
    velocity_bin=None,
    pedal=PedalInForce(value=0, lift_step=None),
)
_STEP_US = v.MICROSECONDS_PER_STEP


def opening_for(tokenizer: Tokenizer, performance: Performance | None, window: Window) -> Opening:
    """The events of a window in a tokenizer's ids, open at its end; of None, nothing but BOS."""
    if tokenizer.vocabulary is v.PEDAL:
        if performance is None:
            return EMPTY_PEDAL_OPENING
        return pedal_opening_of(performance, window)
    return EMPTY_OPENING if performance is None else opening_of(performance, window)


def pedal_opening_of(performance: Performance, window: Window) -> Opening:
    """The events of a window, keys and pedal open at its end."""
    notes = notes_within(performance.notes, window)
    seam_us = window.to_us - window.from_us
    clipped = notes.copy()
    clipped["end_us"] = np.minimum(notes["end_us"], seam_us)
    moves = _moves_within(performance.pedal, window)
    ids = [int(token) for token in encode(Performance(clipped, moves))]
    held = notes[notes["end_us"] > seam_us]
    ids = without_last_releases(ids, {int(pitch) for pitch in held["pitch"]})
    seam_step = (seam_us + _STEP_US // 2) // _STEP_US
    whole_shifts, waited = time_up_to(seam_step, ids)
    ids += whole_shifts
    start = [v.PEDAL.bos] if window.from_us == 0 else []
    velocities = [t for t in ids if v.VELOCITY <= t < v.VELOCITY + v.PEDAL.num_velocities]
    return Opening(
        tokens=tuple(start + ids) or (v.PEDAL.bos,),
        sounding={
            int(note["pitch"]): max(1, int(note["end_us"] - seam_us) // _STEP_US) for note in held
        },
        velocity_bin=velocities[-1] - v.VELOCITY if velocities else None,
        pedal=_pedal_at(performance, window.to_us),
        waited=waited,
    )


def _moves_within(pedal: PedalArray, window: Window) -> PedalArray:
    """Where the pedal stands when the window begins, and its moves in it, counted from there."""
    time = pedal["time_us"]
    inside = pedal[(time > window.from_us) & (time < window.to_us)].copy()
    inside["time_us"] -= window.from_us
    before = pedal[time <= window.from_us][-1:].copy()
    before["time_us"] = 0
    return np.concatenate((before, inside)).astype(PEDAL_DTYPE)


def _pedal_at(performance: Performance, at_us: int) -> PedalInForce:
    """Where the pedal stands at a moment, and by when it comes up if it is down."""
    pedal = performance.pedal
    before = pedal[pedal["time_us"] < at_us]
    value = int(before["value"][-1]) if len(before) else 0
    if value < PEDAL_DOWN_VALUE:
        return PedalInForce(value=value, lift_step=None)
    later = pedal[(pedal["time_us"] >= at_us) & (pedal["value"] < PEDAL_DOWN_VALUE)]
    heard_end_us = apply_sustain(performance).end_us
    lift_us = int(later["time_us"][0]) if len(later) else heard_end_us
    return PedalInForce(value=value, lift_step=max(1, (lift_us - at_us) // _STEP_US))
