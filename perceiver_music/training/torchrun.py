"""What `torchrun` tells each process that it starts, in its environment."""

from __future__ import annotations

import os
from typing import Final

from perceiver_music.errors import UsageError

_MOST_DIGITS: Final = 9


def world_size() -> int:
    """How many processes train together; 1 without `torchrun`.

    Raises:
        UsageError: the environment says no number, or none.
    """
    return _number("WORLD_SIZE", default=1, fewest=1)


def local_rank() -> int:
    """The number of this process among those of its machine, from 0.

    Raises:
        UsageError: the environment says no number.
    """
    return _number("LOCAL_RANK", default=0, fewest=0)


def _number(name: str, *, default: int, fewest: int) -> int:
    word = os.environ.get(name, "").strip()
    if not word:
        return default
    if not (word.isdecimal() and len(word) <= _MOST_DIGITS and int(word) >= fewest):
        raise UsageError(
            f"the environment has {name}={word[:20]}, which is not a number from {fewest} on",
            hint=f"Start several processes with torchrun, or one after `unset {name}`.",
        )
    return int(word)
