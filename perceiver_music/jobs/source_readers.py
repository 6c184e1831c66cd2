"""Reading many sources at once, here or in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial

from perceiver_music.dataset.source import Reading, Rejection, Source, read_source
from perceiver_music.errors import StorageError

Outcomes = Iterator[list[Reading | Rejection]]
_FILES_AT_A_TIME = 4


@contextmanager
def reader(
    num_workers: int, tokenizer_name: str
) -> Iterator[Callable[[Sequence[Source]], Outcomes]]:
    """A function that reads sources in order, here or in worker processes.

    Raises:
        StorageError: a worker died.
    """
    read = partial(read_source, tokenizer_name=tokenizer_name)
    if num_workers <= 1:
        yield lambda sources: map(read, sources)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with _no_modules_of_the_working_folder():
        pool = ProcessPoolExecutor(
            num_workers, context, initializer=_leave_interrupts_to_the_parent
        )
        try:
            yield lambda sources: pool.map(read, sources, chunksize=_FILES_AT_A_TIME)
        except BrokenProcessPool as error:
            raise StorageError(
                "a worker process was killed, perhaps for want of memory",
                hint="Try again with --workers 1.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_modules_of_the_working_folder() -> Iterator[None]:
    """Python's own helper processes would import a `selectors.py` that lies beside MIDI files."""
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
