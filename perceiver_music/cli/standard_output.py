"""Standard output, of which nothing may be lost: all is written, or the failure is told.

A stream may take less than it is given and say so by a number alone: an unbuffered one
(`PYTHONUNBUFFERED`) does when its pipe is full and a signal arrives, and any that must not block.
"""

from __future__ import annotations

import os
import select
import sys
from typing import BinaryIO

from perceiver_music.errors import StorageError


class ReaderGone(BaseException):
    """The process that read our standard output closed it.

    Not an `Exception`, so that a batch that survives the failure of an item does not survive this.
    """


def write_to_stdout(data: bytes) -> None:
    """Writes all of `data` to standard output, however long its reader takes.

    Raises:
        ReaderGone: the reader of our pipe went away.
        StorageError: there is no standard output, or it is full.
    """
    if sys.stdout is None:
        raise StorageError(
            "standard output is closed", hint="Leave it open, or write to a file with -o FILE."
        )
    try:
        sys.stdout.flush()
        _write_all(sys.stdout.buffer, data)
    except BrokenPipeError as error:
        abandon_stdout()
        raise ReaderGone from error
    except OSError as error:
        abandon_stdout()
        raise StorageError(
            f"cannot write to standard output: {error.strerror}",
            hint="Free some space, or write somewhere else with -o.",
        ) from error


def _write_all(stream: BinaryIO, data: bytes) -> None:
    # A buffer that cannot be emptied raises and keeps an amount of its own: go around it.
    raw = getattr(stream, "raw", stream)
    rest = memoryview(data)
    while rest:
        written = raw.write(rest)
        if written is None:
            select.select([], [raw], [])
        else:
            rest = rest[written:]


def abandon_stdout() -> None:
    """Points standard output at nothing, so that the flush at exit cannot fail a second time."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
