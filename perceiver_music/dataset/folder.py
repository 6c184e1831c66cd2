"""Which files the user means: folders, files and patterns, MAESTRO's folder among them."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from perceiver_music.dataset.maestro import find_maestro_csv, read_maestro_csv
from perceiver_music.dataset.note_sequence import is_note_sequence_file
from perceiver_music.dataset.source import Rejection, Source
from perceiver_music.errors import InvalidInputError, StorageError
from perceiver_music.files import storage_error
from perceiver_music.music.midi_chunks import MIDI_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class SourceListing:
    """All files to read, in the order of the store, and what was refused before reading.

    The order is that of a hash of each file's name, official splits first. So the first N pieces
    of a split are a fair sample of it, on every machine the same.
    """

    sources: tuple[Source, ...]
    rejections: tuple[Rejection, ...]


def list_sources(given: Sequence[str | os.PathLike[str]]) -> SourceListing:
    """Find every file of music in what the user gave.

    Raises:
        StorageError: something given does not exist or cannot be listed.
        InvalidInputError: there is no file of music in any of it.
    """
    sources: list[Source] = []
    rejections: list[Rejection] = []
    roots = [root for name in given for root in _expand(os.fspath(name))]
    for root in roots:
        # With several sources the same relative name may well occur twice.
        prefix = f"{root.resolve().name}/" if len(roots) > 1 and root.is_dir() else ""
        found, refused = _list_root(root, prefix)
        sources += found
        rejections += refused
    unique = {os.path.realpath(source.file): source for source in sorted(sources, key=_rank)[::-1]}
    if not unique:
        raise _nothing_found(given, rejections)
    ordered = sorted(_told_apart(list(unique.values())), key=_rank)
    return SourceListing(sources=tuple(ordered), rejections=tuple(rejections))


def is_music_file(path: Path) -> bool:
    """Whether the name is one of a MIDI or NoteSequence file."""
    return path.name.lower().endswith(MIDI_SUFFIXES) or is_note_sequence_file(path)


def _told_apart(sources: list[Source]) -> list[Source]:
    """Sources of one name take the folders that they lie in into it, as few as tell them apart.

    The others keep theirs, and so their place in the store.
    """
    while repeated := {path for path, n in Counter(each.path for each in sources).items() if n > 1}:
        sources = [
            replace(each, path=_one_folder_longer(each)) if each.path in repeated else each
            for each in sources
        ]
    return sources


def _one_folder_longer(source: Source) -> str:
    parts = (source.file.parent.resolve() / source.file.name).parts
    return PurePosixPath(*parts[-len(PurePosixPath(source.path).parts) - 1 :]).as_posix()


def _rank(source: Source) -> tuple[bool, str, str]:
    name = hashlib.sha256(os.fsencode(source.path)).hexdigest()
    return source.split is None, name, source.path


def _expand(name: str) -> list[Path]:
    """The path, or what a pattern stands for (shells of some systems leave patterns to us)."""
    if os.path.lexists(name) or not glob.has_magic(name):
        return [Path(name)]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob wants a relative one
    if not found:
        raise StorageError(
            "no file has a name of this pattern", path=name, hint="Check the spelling of the path."
        )
    return [Path(each) for each in found]


def _list_root(root: Path, prefix: str) -> tuple[list[Source], list[Rejection]]:
    try:
        root.stat()
    except OSError as error:
        raise storage_error(error, root) from error
    if not root.is_dir():
        return [Source(file=root, path=root.name, title=root.stem)], []
    if listing := find_maestro_csv(root):
        maestro = read_maestro_csv(listing)
        return list(maestro.sources), list(maestro.rejections)
    found = []
    for file in _walk(root):
        path = prefix + file.relative_to(root).as_posix()
        found.append(Source(file=file, path=path, title=file.stem))
    return found, []


def _walk(root: Path) -> Iterator[Path]:
    """Files of music below a folder; hidden ones (a Mac leaves `._x.mid`) are nobody's music."""

    def fail(error: OSError) -> None:
        raise storage_error(error, error.filename or root)

    for folder, subfolders, names in os.walk(root, onerror=fail):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and is_music_file(file) and file.is_file():
                yield file


def _nothing_found(
    given: Sequence[str | os.PathLike[str]], rejections: list[Rejection]
) -> InvalidInputError:
    if rejections:
        first = rejections[0]
        return InvalidInputError(
            f"no file can be read; the first of {len(rejections)}: {first.path}: {first.reason}",
            path=os.fspath(given[0]),
        )
    return InvalidInputError(
        "has no MIDI file in it",
        path=os.fspath(given[0]) if given else None,
        hint=f"Give a folder with files named {' '.join(MIDI_SUFFIXES)}.",
    )
