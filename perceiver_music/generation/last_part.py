"""Where the last part of new music begins, which is looked for, not merely drawn."""

from __future__ import annotations

from typing import Final

from perceiver_music.generation.limits import Limits
from perceiver_music.tokenizer import vocabulary as v

_JOINT_STEPS: Final = 8 * v.STEPS_PER_SECOND
_ENDING: Final = {"steps": 15 * v.STEPS_PER_SECOND, "events": 600, "notes": 150}
_LARGEST_ENDING: Final = 0.6


def ending_begins(limits: Limits) -> float:
    """The progress at which an end begins to be looked for, 0 to 1; 1 where there is no limit."""
    shares = [_ENDING[unit] / total for unit, total in limits.totals().items()]
    return 1.0 - min(_LARGEST_ENDING, max(shares, default=0.0))


def joint_begins(limits: Limits) -> float:
    """The progress at which the last part of a gap begins."""
    return 1.0 - min(1.0, _JOINT_STEPS / max(1, limits.end_step or 1))
