"""What does not depend on what else is computed, on as many threads as there are for it.

The native library gives up the interpreter's lock while it computes, so threads are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_MOST_THREADS: Final = 64


def shares(count: int, num_threads: int) -> list[slice]:
    """So many things in a row in as many parts as there are threads, of about the same size."""
    parts = max(1, min(count, num_threads))
    return list(starmap(slice, pairwise(count * part // parts for part in range(parts + 1))))


def run_all(compute: Callable[[slice], None], parts: list[slice]) -> None:
    """Compute all parts, the last of them on this thread.

    A signal may have this left while others compute: `compute` holds on to what they need.

    Raises:
        Exception: whatever a part has raised, once all are done.
    """
    *others, last = parts
    jobs = [_pool().submit(compute, part) for part in others]
    try:
        compute(last)
    finally:
        for job in jobs:
            job.exception()  # waits for it
    for job in jobs:
        job.result()


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """Its threads start as they are needed."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="decoding")
