"""Folders that are either whole or absent, and the tables of checksums that prove it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import (
    PathLike,
    output_exists,
    reporting_storage_errors,
    sha256_of_file,
)

FileTable = dict[str, dict[str, Any]]


@contextlib.contextmanager
def write_folder_atomically(path: PathLike, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder to fill; give it its name if the block ends without a failure.

    Raises:
        OutputExistsError: the target exists and `overwrite` is False.
        StorageError: any failure of the operating system, inside the block too.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise output_exists(target)
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with reporting_storage_errors(target):
            temporary.mkdir(parents=True)
            yield temporary
            # Some writers make files that only their owner may read; the folder's mode is ours.
            readable = temporary.stat().st_mode & 0o666
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(readable)
                _sync(file)
            _sync(temporary)
            _publish(temporary, target)
            _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # A full folder cannot be replaced in one step; the old one is there until the new one is.
    outgoing = target.parent / f".{secrets.token_hex(8)}.old"
    target.rename(outgoing)
    try:
        temporary.rename(target)
    except OSError:
        outgoing.rename(target)
        raise
    shutil.rmtree(outgoing)


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
        file = folder / name
        if Path(name).name != name or not file.is_file():
            raise InvalidInputError(f"its file {name!r} is missing", path=folder)
        with reporting_storage_errors(file):
            size = file.stat().st_size
        if size != entry.get("bytes") or sha256_of_file(file) != entry.get("sha256"):
            raise InvalidInputError(
                f"its file {name!r} is damaged: size or checksum differ from the ones recorded",
                path=folder,
                hint="Fetch or make it again.",
            )
