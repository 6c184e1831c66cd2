"""Fetching one file over HTTP: goes on where it broke off, and believes only the checksum.

What has arrived lies in `<target>.part`, with the server's own mark of the version (`ETag`) in
`<target>.part.json`. A server may break off, ignore the wish for the rest, lie about lengths or
serve another file: each costs time at most. A complete file with the wrong checksum is thrown
away; the right one is published as `target`.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from perceiver_music.dataset.http_range import Answer, read_answer
from perceiver_music.errors import InvalidInputError, StorageError, UnavailableError
from perceiver_music.files import (
    read_bytes,
    reporting_storage_errors,
    sha256_of_file,
    write_bytes_atomically,
)

OFFLINE_VARIABLE: Final = "PERCEIVER_MUSIC_OFFLINE"

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes that are here, and with how many there will be if the server says."""

_CHUNK_BYTES = 1 << 18
_MOST_STATE_BYTES = 1 << 16
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_RANGE_NOT_SATISFIABLE = 416
_HINT_AGAIN = "Run the same command again; it goes on where it broke off."


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on a server.

    Attributes:
        url: where it is.
        sha256: of the whole file.
        most_bytes: more is never fetched.
    """

    url: str
    sha256: str
    most_bytes: int


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to put up with a server.

    Attributes:
        attempts: tries without a new byte before giving up.
        first_wait_seconds: before the second of them; each wait is twice the one before.
        timeout_seconds: silence on the line that counts as a break.
    """

    attempts: int = 5
    first_wait_seconds: float = 1.0
    timeout_seconds: float = 30.0


class _BrokenOffError(Exception):
    """This try has ended, another may succeed."""


def is_offline() -> bool:
    """Whether the user forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


def download(
    remote: Remote,
    target: Path,
    *,
    on_bytes: OnBytes | None = None,
    patience: Patience | None = None,
) -> None:
    """Fetch a file to `target`, going on with what an earlier call left in `<target>.part`.

    A `target` that is the file already is left alone; any other one is replaced.

    Raises:
        UnavailableError: the network is forbidden, or the server cannot be reached, has no such
            file, or breaks off again and again. What has arrived is kept.
        InvalidInputError: the server sends another file. Nothing is kept.
        StorageError: it cannot be written. What was written is kept.
    """
    fetch = _Fetch(remote, target, on_bytes or (lambda done, total: None), patience or Patience())
    with reporting_storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    if fetch.is_published():
        return
    if not fetch.is_right():
        if is_offline():
            raise UnavailableError(
                f"downloads are forbidden by {OFFLINE_VARIABLE}",
                hint=f"Unset {OFFLINE_VARIABLE} to allow them.",
            )
        fetch.complete()
        if fetch.is_joined and not fetch.is_right():
            # The parts may be of two versions of the file; the checksum tells only of the whole.
            fetch.discard()
            fetch.complete()
    if not fetch.is_right():
        fetch.discard()
        raise InvalidInputError(
            f"{remote.url} is not the file that was expected: its checksum differs",
            hint="Try again later; if it stays so, the file was changed or replaced.",
        )
    fetch.publish()


class _Fetch:
    """One file on its way.

    Attributes:
        is_joined: whether what is here came in more than one part.
    """

    def __init__(self, remote: Remote, target: Path, on_bytes: OnBytes, patience: Patience) -> None:
        self._remote, self._target = remote, target
        self._on_bytes, self._patience = on_bytes, patience
        self._part = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")
        self.is_joined = False

    def size(self) -> int:
        """Bytes that are here."""
        with reporting_storage_errors(self._part):
            return self._part.stat().st_size if self._part.exists() else 0

    def is_published(self) -> bool:
        """Whether the file has its name already."""
        return self._target.is_file() and sha256_of_file(self._target) == self._remote.sha256

    def is_right(self) -> bool:
        """Whether what is here is the file."""
        return self._part.exists() and sha256_of_file(self._part) == self._remote.sha256

    def discard(self) -> None:
        """Forget what is here."""
        with reporting_storage_errors(self._part):
            self._part.unlink(missing_ok=True)
            self._state.unlink(missing_ok=True)

    def publish(self) -> None:
        """Give the file its name."""
        with reporting_storage_errors(self._target):
            with self._part.open("rb") as stream:
                os.fsync(stream.fileno())
            self._part.replace(self._target)
            self._state.unlink(missing_ok=True)

    def complete(self) -> None:
        """Fetch until the server has no more, however often it breaks off.

        Raises:
            UnavailableError: it cannot be done.
        """
        fruitless = 0
        most = self.size()
        while True:
            try:
                self._try_once()
                return
            except _BrokenOffError as error:
                if self.is_right():  # it only lied about the length
                    return
                # From the start again is no progress, even if the server sends half each time.
                fruitless = 0 if self.size() > most else fruitless + 1
                most = max(most, self.size())
                if fruitless >= self._patience.attempts:
                    raise UnavailableError(
                        f"cannot download {self._remote.url}: {error}", hint=_HINT_AGAIN
                    ) from error
                if fruitless:
                    time.sleep(self._patience.first_wait_seconds * 2 ** (fruitless - 1))

    def _try_once(self) -> None:
        """One request. Returns when the server says that this was all.

        Raises:
            _BrokenOffError: it was not all.
        """
        request = urllib.request.Request(self._remote.url)
        have = self.size()
        if have:
            is_known, validator = self._recall()
            if not is_known:
                self.discard()
                have = 0
            else:
                request.add_header("Range", f"bytes={have}-")
            if validator is not None:
                request.add_header("If-Range", validator)
        try:
            timeout = self._patience.timeout_seconds
            with urllib.request.urlopen(request, timeout=timeout) as response:
                self._receive(response, read_answer(response, have))
        except urllib.error.HTTPError as error:
            error.close()
            self._judge(error.code)
        except (http.client.HTTPException, OSError) as error:  # of the network: ours are reported
            raise _BrokenOffError(_words(error)) from error

    def _judge(self, code: int) -> None:
        if code == _RANGE_NOT_SATISFIABLE:
            # There is nothing after what is here: it is the whole file, or not of this file.
            if self.is_right():
                return
            self.discard()
            raise _BrokenOffError("the server's file is shorter than what it sent before")
        if code in _WORTH_ANOTHER_TRY:
            raise _BrokenOffError(f"the server answers with error {code}")
        raise UnavailableError(
            f"cannot download {self._remote.url}: the server answers with error {code}",
            hint="The address may have changed; see the data set's homepage.",
        )

    def _receive(self, response: http.client.HTTPResponse, answer: Answer) -> None:
        if answer.total is not None and answer.total > self._remote.most_bytes:
            raise self._too_long()
        with reporting_storage_errors(self._part):
            if answer.start == 0:
                self.discard()
                self._remember(answer.validator)
            self.is_joined = answer.start > 0
            stream = self._part.open("r+b" if answer.start else "wb")
        with stream:
            stream.seek(answer.start)
            done = self._copy(response, stream, answer)
        if answer.total is not None and done < answer.total:
            raise _BrokenOffError(f"the server broke off at {done:,} of {answer.total:,} bytes")

    def _copy(self, response: http.client.HTTPResponse, stream: BinaryIO, answer: Answer) -> int:
        done = answer.start
        self._on_bytes(done, answer.total)
        while chunk := response.read(_CHUNK_BYTES):
            with reporting_storage_errors(self._part):
                stream.write(chunk)
                stream.flush()
            done += len(chunk)
            if done > self._remote.most_bytes:
                raise self._too_long()
            self._on_bytes(done, answer.total)
        return done

    def _too_long(self) -> InvalidInputError:
        self.discard()
        return InvalidInputError(
            f"{self._remote.url} is not the file that was expected: "
            f"it is longer than {self._remote.most_bytes:,} bytes",
            hint="Try again later; if it stays so, the file was changed or replaced.",
        )

    def _remember(self, validator: str | None) -> None:
        state = {"url": self._remote.url, "validator": validator}
        write_bytes_atomically(self._state, json.dumps(state).encode(), overwrite=True)

    def _recall(self) -> tuple[bool, str | None]:
        """Whether it is known where the part is from, and the server's mark of its version."""
        try:
            state: Any = json.loads(read_bytes(self._state, limit=_MOST_STATE_BYTES))
            url, validator = state["url"], state["validator"]
        except (ValueError, KeyError, TypeError, StorageError, InvalidInputError):
            return False, None
        is_mark = isinstance(validator, str) and validator.isprintable()
        return url == self._remote.url, validator if is_mark else None


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, http.client.IncompleteRead):
        return "the server broke off"
    return str(reason) or type(reason).__name__
