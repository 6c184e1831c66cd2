"""Files that are either old or new, never half: atomic writing and checksums.

A writer gets a temporary name in the target's own folder, because only there is a rename atomic.
What it wrote is synced, then published by `replace`, or by `link` where overwriting is forbidden:
of a thousand writers of one name exactly one wins. Every failure of the operating system leaves
here as a `StorageError`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError

PathLike = str | os.PathLike[str]

_LONGEST_KEPT_SUFFIX = 16
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES}

_HINTS = {
    errno.ENOENT: "Check the spelling of the path.",
    errno.ENOTDIR: "A part of the path that should be a folder is a file.",
    errno.EISDIR: "This is a folder; name a file.",
    errno.EACCES: "Check the permissions of the file and of its folder.",
    errno.EPERM: "Check the permissions of the file and of its folder.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENOSPC: "Free some space on this disk, or write to another one.",
    errno.EDQUOT: "Free some of your quota on this disk, or write to another one.",
    errno.EFBIG: "The file is larger than this system or its limits allow.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EMFILE: "Too many files are open; raise the limit with `ulimit -n`.",
}
_GENERAL_HINT = "Check the disk and try again."


def storage_error(error: OSError, path: PathLike) -> StorageError:
    """The operating system's failure in our words, with what to do about it."""
    message = (error.strerror or str(error) or type(error).__name__).lower()
    hint = _HINTS.get(error.errno or 0, _GENERAL_HINT)
    return StorageError(message, path=path, hint=hint)


@contextlib.contextmanager
def reporting_storage_errors(path: PathLike) -> Iterator[None]:
    """Turn any `OSError` of the block into a `StorageError` about `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


# Reading


def read_bytes(path: PathLike, *, limit: int | None = None) -> bytes:
    """The whole file.

    Args:
        path: the file.
        limit: most bytes that are read; a longer file is refused.

    Raises:
        StorageError: it is missing or cannot be read.
        InvalidInputError: it is longer than `limit`.
    """
    with reporting_storage_errors(path), Path(path).open("rb") as stream:
        if limit is None:
            return stream.read()
        # One byte more than allowed tells a longer file, also of a pipe, which has no size.
        data = stream.read(limit + 1)
        if len(data) > limit:
            raise InvalidInputError(
                f"is larger than {limit:,} bytes, the most that is read of such a file",
                path=path,
                hint="Check that this is the file you meant.",
            )
        return data


def sha256_of_bytes(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: PathLike) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises StorageError when it cannot be read."""
    with reporting_storage_errors(path), Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# Writing


@contextlib.contextmanager
def write_atomically(path: PathLike, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary file to write; publish it as `path` if the block ends without a failure.

    The temporary name ends as the target does, so that a writer that goes by suffix is not misled.

    Raises:
        OutputExistsError: the target exists and `overwrite` is False.
        StorageError: any failure of the operating system, inside the block too. The target is
            then as it was and no temporary file is left.
    """
    target = Path(path)
    with parents_made(target):
        with reporting_storage_errors(target):
            _refuse_what_cannot_be_replaced(target, overwrite=overwrite)
            temporary, mode = _create_temporary(target)
        try:
            with reporting_storage_errors(target):
                yield temporary
                _sync_file(temporary, mode)
                if overwrite:
                    temporary.replace(target)
                else:
                    _publish_new(temporary, target)
                _sync_folder(target.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def parents_made(target: Path) -> Iterator[None]:
    """Make the folders that a target lies in; if the block fails, the new ones go again.

    Raises:
        StorageError: they cannot be made.
    """
    missing: list[Path] = []
    try:
        with reporting_storage_errors(target):
            missing += _missing_folders(target.parent)
            _make_folder(target.parent, missing)
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # one that is not empty others have made use of
                folder.rmdir()
        raise


def probe_output(path: PathLike, *, overwrite: bool) -> None:
    """Fail as `write_atomically` would for folder or name, before work is done for it.

    Folders that are missing are not made yet: the work may fail.
    """
    target = Path(path)
    with reporting_storage_errors(target):
        _refuse_what_cannot_be_replaced(target, overwrite=overwrite)
        missing = _missing_folders(target.parent)
        there = missing[-1].parent if missing else target.parent
        for name in (each.name for each in (*missing, target)):
            (there / name).exists()  # asked because it fails for a name that is too long
        temporary, _ = _create_temporary(there / target.name)
        temporary.unlink()


def write_bytes_atomically(path: PathLike, data: bytes, *, overwrite: bool) -> None:
    """Write a whole file at once.

    Raises:
        OutputExistsError: the target exists and `overwrite` is False.
        StorageError: it cannot be written; the target is then as it was.
    """
    with write_atomically(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def output_exists(path: PathLike) -> OutputExistsError:
    """The failure of writing where something is already."""
    return OutputExistsError(
        "exists already", path=path, hint="Choose another name, or overwrite it with --force."
    )


def _refuse_what_cannot_be_replaced(target: Path, *, overwrite: bool) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if target.is_symlink() and not overwrite:
            raise output_exists(target) from None
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(target))
    if not stat.S_ISREG(mode):
        # A rename would put a file in the place of, say, /dev/null.
        raise StorageError(
            "is not a regular file", path=target, hint="Name a file, or use - for stdout."
        )
    if not overwrite:
        raise output_exists(target)


def _missing_folders(folder: Path) -> list[Path]:
    """What of a folder and those that it lies in is not there, the innermost first."""
    return list(itertools.takewhile(lambda each: not each.exists(), (folder, *folder.parents)))


def _make_folder(folder: Path, missing: list[Path]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise _unwritable(missing[-1].parent if missing else folder) from error


def _unwritable(folder: Path) -> StorageError:
    """The failure of a folder that is there and takes no file, as /proc."""
    return StorageError(
        "nothing can be written in this folder", path=folder, hint="Choose another one."
    )


def _create_temporary(target: Path) -> tuple[Path, int]:
    """An empty file of our own in the target's folder, and its mode after the umask."""
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_KEPT_SUFFIX else ""
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp{suffix}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileNotFoundError as error:
        raise _unwritable(target.parent) from error
    try:
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary, mode


def _sync_file(temporary: Path, mode: int) -> None:
    # Some writers replace our empty file by one of their own that only its owner may read.
    if stat.S_IMODE(temporary.stat().st_mode) != mode:
        temporary.chmod(mode)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())


def _publish_new(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise output_exists(target) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _publish_without_links(temporary, target)


def _publish_without_links(temporary: Path, target: Path) -> None:
    """Without hard links: claim the name, then replace our own claim."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        raise output_exists(target) from None
    try:
        temporary.replace(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where folders can be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
