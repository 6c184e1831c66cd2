"""From an exception to two lines and an exit code.

Whatever ends a command ends here: our own failures, the operating system's, a signal, a reader
that went away, and bugs.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

import typer

from perceiver_music.cli.console import Console
from perceiver_music.cli.signals import Terminated
from perceiver_music.cli.standard_output import ReaderGone
from perceiver_music.errors import (
    PerceiverMusicError,
    StoppedBySignalError,
    StorageError,
    UnavailableError,
    UsageError,
)
from perceiver_music.files import storage_error

READER_GONE_EXIT_CODE = 141

_HINTS = {
    1: "Run it again with --debug and report what it prints.",
    3: "The lines above say what was wrong with each.",
    65: "Give a file of the right kind, or leave this one out.",
    69: "Install what is missing or make it reachable, then run the command again.",
    73: "Use --force to overwrite it, or -o to write elsewhere.",
    74: "Check that the path exists, that you may use it and that the disk has room.",
    75: "Wait until the other process has finished, then run the command again.",
    76: "Lower the learning rate and resume from the last checkpoint.",
    130: "Run the command again to start over.",
    143: "Run the command again to start over.",
}


class Bug(PerceiverMusicError):
    """Our own mistake, in one line."""

    exit_code = 1


def hint_of(failure: PerceiverMusicError, command: str = "") -> str:
    """What to do about a failure: its own hint, or the usual advice for its code."""
    if failure.exit_code == UsageError.exit_code and not failure.hint:
        return f"See '{' '.join(filter(None, ('perceiver-music', command)))} --help'."
    return failure.hint or _HINTS.get(failure.exit_code, _HINTS[1])


def as_failure(error: BaseException) -> PerceiverMusicError:
    """The failure that `error` is to the user."""
    if isinstance(error, PerceiverMusicError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StoppedBySignalError("interrupted", signal_number=signal.SIGINT)
    if isinstance(error, Terminated):
        return StoppedBySignalError("terminated", signal_number=signal.SIGTERM)
    if isinstance(error, ModuleNotFoundError) and not _is_of_ours(error):
        name = (error.name or "a module").partition(".")[0]
        return UnavailableError(
            f"{name} is not installed", hint=f"Install it with 'python -m pip install {name}'."
        )
    if _is_lack_of_memory(error):
        return UnavailableError(
            "there is not enough memory",
            hint="Ask for less: a shorter --context, fewer windows at once, a smaller model.",
        )
    if isinstance(error, ImportError) and not _is_of_ours(error):
        return UnavailableError(
            f"a library cannot be loaded: {error}", hint="Look at the memory limit (ulimit -v)."
        )
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        return storage_error(error, name or "standard output")
    return Bug(f"this is a bug of ours: {type(error).__name__}: {error}")


def _is_of_ours(error: ImportError) -> bool:
    """Whether a module of this package is what cannot be imported."""
    return (error.name or "").partition(".")[0] == __name__.partition(".")[0]


def _is_lack_of_memory(error: BaseException) -> bool:
    """As Python, numpy and torch say it; torch on a processor has no class for it."""
    is_said = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or is_said


def report(error: BaseException, console: Console) -> PerceiverMusicError:
    """Says on standard error what happened; the traceback of a bug under `--debug` alone."""
    failure = as_failure(error)
    if isinstance(failure, Bug):
        console.traceback("".join(traceback.format_exception(error)))
    console.error(failure, hint=hint_of(failure, console.command))
    return failure


def failure_fields(failure: PerceiverMusicError, command: str) -> dict[str, object]:
    """The `error` object of `--json`."""
    return {**failure.as_dict(), "hint": hint_of(failure, command)}


def guarded(
    action: Callable[[], int | None],
    console: Console,
    emit: Callable[[PerceiverMusicError], None],
) -> int:
    """Runs a command and returns its exit code, whatever happens.

    Args:
        action: the command; None means 0.
        console: where a failure is told.
        emit: prints the failure as the command's JSON object, when JSON was asked for.
    """
    try:
        try:
            return action() or 0
        except typer.Exit as leaving:
            return leaving.exit_code
        except (Exception, KeyboardInterrupt, Terminated) as error:
            failure = report(error, console)
            emit(failure)
            return failure.exit_code
    except ReaderGone:
        return READER_GONE_EXIT_CODE
    except StorageError as error:  # the failure object itself could not be written
        return error.exit_code
