"""The right to write something, held by one process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from perceiver_music.errors import BusyError
from perceiver_music.files import PathLike, sha256_of_bytes, storage_error

_LONGEST_LOCKED_NAME = 249


@contextlib.contextmanager
def exclusive_lock(path: PathLike) -> Iterator[None]:
    """Hold the right to write `path` until the block ends; the system frees it if we die.

    The lock is a file `.<name>.lock` beside it, removed at the end.

    Raises:
        BusyError: another process holds it.
        StorageError: the lock file cannot be made.
    """
    target = Path(path)
    name = os.fsencode(target.name)
    is_long = len(name) > _LONGEST_LOCKED_NAME
    lock = target.parent / f".{sha256_of_bytes(name) if is_long else target.name}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(lock, target)
    except OSError as error:
        # Nobody knows the lock by name, unless something that is there is in the way.
        raise storage_error(error, lock if os.path.lexists(lock) else target) from error
    try:
        yield
    finally:
        # Removed while still held: whoever opened the old file sees below that it is gone.
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(lock: Path, target: Path) -> int:
    import fcntl  # POSIX only, and needed by nothing else here

    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_at(descriptor, lock):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(
                "another process is writing it", path=target, hint="Wait until it has finished."
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still_at(descriptor: int, lock: Path) -> bool:
    try:
        at_path = lock.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), at_path)
