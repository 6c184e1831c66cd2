"""`SHA256SUMS` in a folder: one line a file, as `sha256sum --check` reads it too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import read_bytes, write_bytes_atomically

LIST_NAME: Final = "SHA256SUMS"
MAX_LIST_BYTES: Final = 64 << 20

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    """Write the list of a folder; the names are relative to it, with forward slashes.

    Raises:
        StorageError: it cannot be written.
    """
    lines = [f"{checksum}  {name}\n" for name, checksum in sorted(checksums.items())]
    write_bytes_atomically(folder / LIST_NAME, "".join(lines).encode(), overwrite=False)


def read_checksums(folder: Path) -> dict[str, str]:
    """Checksum of each file that the list of a folder names; empty when there is no list.

    Raises:
        InvalidInputError: it is no such list, or names a file outside the folder.
        StorageError: it cannot be read.
    """
    path = folder / LIST_NAME
    if not path.exists():
        return {}
    checksums: dict[str, str] = {}
    try:
        lines = read_bytes(path, limit=MAX_LIST_BYTES).decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInputError("is not a list of checksums in UTF-8", path=path) from error
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or not is_inside(match[2]) or match[2] in checksums:
            raise InvalidInputError(f"line {number} is not a checksum of a file here", path=path)
        checksums[match[2]] = match[1]
    return checksums


def all_listed(folder: Path) -> bool:
    """Whether the list of a folder names every file in it; some that it names may be missing.

    Raises:
        StorageError: the list cannot be read.
        OSError: the folder cannot be.
    """
    try:
        listed = read_checksums(folder)
    except InvalidInputError:
        return False
    return _names_in(folder) - {LIST_NAME} <= listed.keys()


def _names_in(folder: Path) -> set[str]:
    """All below a folder that is no folder itself, relative to it, with forward slashes."""
    names = set()
    left = [folder]
    while left:
        for path in left.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                left.append(path)
            else:
                names.add(path.relative_to(folder).as_posix())
    return names


def is_inside(name: str) -> bool:
    """Whether a relative name, with forward slashes, stays in the folder it is relative to."""
    path = PurePosixPath(name)
    is_plain = not path.is_absolute() and ".." not in path.parts and bool(path.parts)
    return is_plain and not set("\\\0\r\n") & set(name) and not re.match(r"[A-Za-z]:", name)
