"""The events that let go of what still sounds."""

from __future__ import annotations

from collections.abc import Mapping

from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import shift_ids


def closing_ids(ends: Mapping[int, int], step: int) -> list[int]:
    """NOTE_OFFs, and the time up to them, in the order in which keys are let go.

    Args:
        ends: pitch -> step.
        step: where the time begins.
    """
    ids: list[int] = []
    for pitch, end in sorted(ends.items(), key=lambda item: (item[1], item[0])):
        ids += [*shift_ids(max(0, end - step)).tolist(), v.NOTE_OFF + pitch]
        step = max(step, end)
    return ids
