"""Every failure a user can cause or meet, one class each, with the exit code that it ends in.

The codes follow BSD's `sysexits.h` where it has one that fits. A job raises these; only the
command line turns them into a line and a code. Anything else that escapes is a bug (code 1).
"""

from __future__ import annotations

import os


class PerceiverMusicError(Exception):
    """Base of all failures that are reported in one line.

    Args:
        message: what is wrong, without the path and without a full stop.
        path: the file concerned, when there is one.
        hint: what the user can do about it, one sentence.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"

    def as_dict(self) -> dict[str, object]:
        """The failure as the `error` object of `--json`."""
        return {
            "code": self.exit_code,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }


class UsageError(PerceiverMusicError):
    """The command was called with words that do not fit together."""

    exit_code = 2


class PartialFailureError(PerceiverMusicError):
    """Some items of a batch failed; each was reported on its own."""

    exit_code = 3


class InvalidInputError(PerceiverMusicError):
    """An input is not what it claims to be: MIDI, checkpoint, store or configuration."""

    exit_code = 65


class UnavailableError(PerceiverMusicError):
    """Something needed is not installed or cannot be reached."""

    exit_code = 69


class OutputExistsError(PerceiverMusicError):
    """The output is there already and `--force` was not given."""

    exit_code = 73


class StorageError(PerceiverMusicError):
    """Reading or writing failed in the operating system."""

    exit_code = 74


class BusyError(PerceiverMusicError):
    """Another process holds what we need."""

    exit_code = 75


class NonFiniteError(PerceiverMusicError):
    """Training met a NaN or an infinity and stopped before using it."""

    exit_code = 76


class StoppedBySignalError(PerceiverMusicError):
    """A signal asked us to stop (130 for SIGINT, 143 for SIGTERM)."""

    exit_code = 130

    def __init__(self, message: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number
