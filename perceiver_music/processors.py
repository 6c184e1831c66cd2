"""How many processors there are for this program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all processors that a container (cgroup v2) gets, and in how many: `max` is all.
"""
_MOST_DIGITS: Final = 9


def num_processors(cpu_max: Path = _CPU_MAX) -> int:
    """Those that it may run on, or of which its container gets the time."""
    allowed, granted = _num_allowed(), _num_granted(cpu_max)
    return allowed if granted is None else min(allowed, granted)


def num_threads() -> int:
    """How many threads may compute: OMP_NUM_THREADS where that says so, else one a processor."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and len(wanted) <= _MOST_DIGITS and int(wanted):
        return min(int(wanted), num_processors())
    return num_processors()


def _num_allowed() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _num_granted(cpu_max: Path) -> int | None:
    """How many processors' time there is, rounded up; None where nothing limits it."""
    try:
        quota, period = (int(word) for word in cpu_max.read_text(encoding="ascii").split())
        return max(1, -(-quota // period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
