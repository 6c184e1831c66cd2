"""Ctrl-C and SIGTERM while the program is still being imported.

They wait until a failure can be told as every other is; a second one ends the program at once. This
module imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)
_kept: list[int] = []


def keep() -> None:
    """Keep what arrives from now on, unless it is ignored, as in the background of a script."""
    for number in _NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _keep)


def _keep(number: int, frame: FrameType | None) -> None:
    if _kept:
        os._exit(128 + number)
    _kept.append(number)


def deliver() -> None:
    """What was kept arrives now, at whoever handles it now."""
    while _kept:
        signal.raise_signal(_kept.pop())
