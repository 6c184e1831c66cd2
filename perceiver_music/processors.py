"""How many processors there are for this program."""

from __future__ import annotations

import os


def num_processors() -> int:
    """Those that it may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_threads() -> int:
    """How many threads may compute: OMP_NUM_THREADS where that says so, else one a processor."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return min(int(wanted), num_processors())
    return num_processors()
