"""Unpacking a zip archive: nothing outside its folder, nothing but files, never more than agreed.

Every name and size is checked before the first byte is written, so that a hostile archive leaves
nothing behind. What the archive says of sizes is checked again against what comes out of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from perceiver_music.dataset.checksums import is_inside
from perceiver_music.errors import InvalidInputError
from perceiver_music.files import reporting_storage_errors

MAX_FILES: Final = 100_000

OnBytes = Callable[[int, int], None]
"""Called with the bytes unpacked so far, and with how many there will be."""

_CHUNK_BYTES = 1 << 18
_ENCRYPTED = 0x1
_NOT_A_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,  # a version or an encryption that zipfile does not know
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack_zip(
    archive: Path, folder: Path, *, root: str, most_bytes: int, on_bytes: OnBytes | None = None
) -> dict[str, str]:
    """Unpack what lies below `root` in an archive into an empty folder.

    Args:
        archive: the zip file.
        folder: where to; it exists.
        root: the only folder at the archive's top; it is left out of the names.
        most_bytes: an archive that holds more than this is refused.
        on_bytes: told after each piece.

    Returns:
        The SHA-256 of every file, by its name relative to `folder`, with forward slashes.

    Raises:
        InvalidInputError: it is not a whole zip archive, or one that must not be unpacked: names
            that lead outside, links, encryption, names that occur twice, too much content.
        StorageError: reading or writing failed.
    """
    try:
        with reporting_storage_errors(archive), zipfile.ZipFile(archive) as opened:
            members = _checked_members(opened, archive, root)
            total = sum(member.file_size for member in members.values())
            if total > most_bytes:
                raise _refused(archive, f"holds {total:,} bytes, more than {most_bytes:,}")
            checksums = {}
            done = 0
            for name, member in members.items():
                with reporting_storage_errors(folder / name):
                    checksums[name] = _unpack_one(opened, member, folder / name, archive)
                done += member.file_size
                if on_bytes is not None:
                    on_bytes(done, total)
            return checksums
    except _NOT_A_ZIP as error:
        raise InvalidInputError(
            f"is not a whole zip archive: {error}", path=archive, hint="Download it again."
        ) from error


def _checked_members(
    opened: zipfile.ZipFile, archive: Path, root: str
) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by their name below `root`, every one of them harmless."""
    infos = opened.infolist()
    if len(infos) > MAX_FILES:
        raise _refused(archive, f"holds {len(infos):,} files, more than {MAX_FILES:,}")
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in infos:
        # `orig_filename` is what the archive says, before zipfile tidied it up.
        reason = _why_not(info, root)
        if reason is not None:
            raise _refused(archive, f"its member {info.orig_filename!r} {reason}")
        name = PurePosixPath(info.filename).relative_to(root)
        if info.is_dir():
            continue
        if str(name) in members:
            raise _refused(archive, f"its member {info.orig_filename!r} is there twice")
        members[str(name)] = info
        folders.update(str(parent) for parent in name.parents)
    if clashes := sorted(folders & set(members)):
        raise _refused(archive, f"its member {clashes[0]!r} is a file and a folder")
    if not members:
        raise _refused(archive, "has no file in it")
    return members


def _why_not(info: zipfile.ZipInfo, root: str) -> str | None:
    """Why a member must not be unpacked, or None."""
    name = info.orig_filename
    if not is_inside(name):
        return "leads outside the folder"
    if PurePosixPath(name).parts[0] != root or (
        len(PurePosixPath(name).parts) == 1 and not info.is_dir()
    ):
        return f"is not in the folder {root!r}"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.header_offset < 0:
        return "begins before the archive does"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}, which is not read here"
    return None


def _unpack_one(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, archive: Path
) -> str:
    """Write one file, and give its checksum back.

    zipfile reads no more of a member than its size says, and refuses what is then not its CRC-32;
    one that ends sooner it passes, if the CRC-32 is right.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    left = member.file_size
    with opened.open(member) as source, target.open("xb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            digest.update(chunk)
            sink.write(chunk)
        if left:
            raise _refused(archive, f"{member.orig_filename!r} is smaller than it says")
        sink.flush()
        os.fsync(sink.fileno())
    return digest.hexdigest()


def _refused(archive: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"the archive is not unpacked: {why}", path=archive, hint="Check where it came from."
    )
