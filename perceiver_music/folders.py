"""Folders that are either whole or absent, and the tables of checksums that prove it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from perceiver_music.errors import InvalidInputError, OutputExistsError
from perceiver_music.files import (
    PathLike,
    output_exists,
    parents_made,
    read_bytes,
    reporting_storage_errors,
    sha256_of_bytes,
    sha256_of_file,
)

FileTable = dict[str, dict[str, Any]]

_TEMPORARY, _OLD = ".tmp", ".old"
_LEAVING = re.compile(r"\.[0-9a-f]{16}\.(tmp(\..*)?|old)")
_AT_WORKING_FOLDER = -100
_Arguments = Callable[[bytes, bytes, int], tuple[object, ...]]
_EXCHANGE, _NO_REPLACE = "exchange", "no replace"
_RENAMES: tuple[tuple[str, dict[str, int], _Arguments], ...] = (
    (  # Linux
        "renameat2",
        {_EXCHANGE: 2, _NO_REPLACE: 1},
        lambda a, b, flag: (_AT_WORKING_FOLDER, a, _AT_WORKING_FOLDER, b, flag),
    ),
    (  # macOS
        "renamex_np",
        {_EXCHANGE: 2, _NO_REPLACE: 4},
        lambda a, b, flag: (a, b, flag),
    ),
)
_NO_SUCH_RENAME = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


@contextlib.contextmanager
def write_folder_atomically(path: PathLike, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder to fill; give it its name if the block ends without a failure.

    Raises:
        OutputExistsError: the target exists and `overwrite` is False, or it is no folder. What
            comes to be there while the block runs counts too.
        StorageError: any failure of the operating system, inside the block too. The target is
            then as it was, and no folder that was made on the way stays.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}{_TEMPORARY}"
    with reporting_storage_errors(target):
        _refuse_what_cannot_be_replaced(target, overwrite=overwrite)
    with parents_made(target):
        try:
            with reporting_storage_errors(target):
                temporary.mkdir()
                yield temporary
                _sync_all(temporary)
                if overwrite:
                    _publish_over(temporary, target)
                else:
                    _publish_new(temporary, target)
                _sync(target.parent)
        finally:
            _remove(temporary)


def _refuse_what_cannot_be_replaced(target: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise output_exists(target)
    if not target.is_dir():
        raise OutputExistsError(
            "exists already, and is not a folder", path=target, hint="Choose another name."
        )


def _sync_all(temporary: Path) -> None:
    # Some writers make files that only their owner may read; the folder's mode is ours.
    readable = temporary.stat().st_mode & 0o666
    for file in temporary.rglob("*"):
        if file.is_file():
            file.chmod(readable)
        _sync(file)
    _sync(temporary)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish_new(temporary: Path, target: Path) -> None:
    try:
        if _renamed(temporary, target, _NO_REPLACE):
            return
        # A folder's plain name change replaces nothing but an empty folder.
        _refuse_what_cannot_be_replaced(target, overwrite=False)
        temporary.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            raise output_exists(target) from None
        raise


def _publish_over(temporary: Path, target: Path) -> None:
    _refuse_what_cannot_be_replaced(target, overwrite=True)
    if not target.exists():
        temporary.rename(target)
        return
    if _renamed(temporary, target, _EXCHANGE):
        return  # the old one has the temporary's name now, and goes with it
    # Without an exchange there is a moment with neither; the old one waits under another name.
    outgoing = target.parent / f".{secrets.token_hex(8)}{_OLD}"
    target.rename(outgoing)
    try:
        temporary.rename(target)
    except OSError:
        outgoing.rename(target)
        raise
    _remove(outgoing)


def _renamed(one: Path, other: Path, how: str) -> bool:
    """Exchange two names, or give one that is free, in one step; False where that is not known."""
    library = ctypes.CDLL(None, use_errno=True)
    for name, flags, arguments in _RENAMES:
        function = getattr(library, name, None)
        if function is not None:
            if function(*arguments(os.fsencode(one), os.fsencode(other), flags[how])) == 0:
                return True
            code = ctypes.get_errno()
            if code not in _NO_SUCH_RENAME:
                raise OSError(code, os.strerror(code), os.fspath(other))
    return False


def _remove(path: Path) -> None:
    for _ in range(2):  # what fails once may well not fail twice
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                # Raises all the same where a folder cannot be closed: Python closes it again.
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def remove_leavings(*folders: Path) -> None:
    """Remove what writers that were killed left in folders that nobody else writes to."""
    for path in itertools.chain.from_iterable(folder.glob(".*") for folder in folders):
        if _LEAVING.fullmatch(path.name):
            _remove(path)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that nobody finds half of it: it loses its name first."""
    outgoing = folder.parent / f".{secrets.token_hex(8)}{_OLD}"
    with contextlib.suppress(OSError):
        folder.rename(outgoing)
        _remove(outgoing)


def file_table(folder: Path) -> FileTable:
    """Size and checksum of every file of a folder.

    Raises:
        StorageError: one cannot be read.
    """
    with reporting_storage_errors(folder):
        return {
            file.name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
            for file in sorted(folder.iterdir())
        }


def check_file_table(folder: Path, table: FileTable) -> None:
    """Prove that the files of a table are in the folder and unchanged.

    Raises:
        InvalidInputError: a file is missing, of another size or of other content.
        StorageError: one cannot be read.
    """
    for name, entry in table.items():
        if sha256_of_file(_of_recorded_size(folder, name, entry)) != entry.get("sha256"):
            raise _damaged(folder, name)


def read_recorded(folder: Path, table: FileTable, name: str) -> bytes:
    """A file of a table, unchanged: the very bytes whose checksum was taken.

    Raises:
        InvalidInputError: it is missing, of another size or of other content.
        StorageError: it cannot be read.
    """
    data = read_bytes(_of_recorded_size(folder, name, table[name]))
    if sha256_of_bytes(data) != table[name].get("sha256"):
        raise _damaged(folder, name)
    return data


def _of_recorded_size(folder: Path, name: str, entry: dict[str, Any]) -> Path:
    file = folder / name
    if Path(name).name != name or not file.is_file():
        raise InvalidInputError(f"its file {name!r} is missing", path=folder)
    with reporting_storage_errors(file):
        size = file.stat().st_size
    if size != entry.get("bytes"):
        raise _damaged(folder, name)
    return file


def _damaged(folder: Path, name: str) -> InvalidInputError:
    return InvalidInputError(
        f"its file {name!r} is damaged: size or checksum differ from the ones recorded",
        path=folder,
        hint="Fetch or make it again.",
    )
