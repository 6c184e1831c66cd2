"""Memory that a training step has freed stays with the process, for the next step to take."""

from __future__ import annotations

import ctypes
from typing import Final

# mallopt(3): in glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
_NEVER: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Stop glibc from giving large blocks back to the system at every `free`.

    It asks the system anew for each tensor of more than 32 MiB, and new pages are zeros to write
    and faults to take: an eighth of a step at a context of 32,768 (benchmarks/training).

    Returns:
        whether this is glibc; elsewhere nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        ctypes.CDLL(None).gnu_get_libc_version  # noqa: B018  musl and others do as they like
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
