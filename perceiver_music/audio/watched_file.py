"""A file that another library writes to, and whose failures nobody passes over."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO


class WatchedFile:
    """Passes writes on, and remembers the first that failed.

    libsndfile does not tell of a failed write when it goes back to the header on closing: the file
    is wrong and it says that all went well. Nothing is raised here, because libsndfile calls
    through C, which drops an exception. After a failure nothing more is written.

    Attributes:
        failure: what the operating system said to the first call that failed, if one did.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of `data`; gives the bytes taken, none after a failure."""
        return self._attempt(self._file.write, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; gives it in bytes from the start, 0 after a failure."""
        return self._attempt(self._file.seek, offset, whence)

    def tell(self) -> int:
        """The place in bytes from the start, 0 after a failure."""
        return self._attempt(self._file.tell)

    def _attempt(self, call: Callable[..., int], *arguments: object) -> int:
        if self.failure is None:
            try:
                return call(*arguments)
            except OSError as error:
                self.failure = error
        return 0
