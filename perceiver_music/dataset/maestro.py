"""MAESTRO's folder: its CSV says which files there are, their titles and their official splits."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from perceiver_music.dataset.source import Rejection, Source
from perceiver_music.dataset.store_index import SPLITS
from perceiver_music.errors import InvalidInputError
from perceiver_music.files import read_bytes, reporting_storage_errors

CSV_PATTERN = "maestro-v*.csv"
MAX_CSV_BYTES = 64 << 20
NEEDED_COLUMNS = ("canonical_composer", "canonical_title", "split", "midi_filename")


@dataclass(frozen=True, kw_only=True)
class MaestroListing:
    """What a CSV lists: the files that are there, and the rows that lead to none."""

    sources: tuple[Source, ...]
    rejections: tuple[Rejection, ...]


def find_maestro_csv(folder: Path) -> Path | None:
    """The CSV that makes a folder MAESTRO's, or None.

    Raises:
        InvalidInputError: there are several, so nobody can say which counts.
    """
    with reporting_storage_errors(folder):
        found = sorted(path for path in folder.glob(CSV_PATTERN) if _is_listing(path.name))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InvalidInputError(
            f"has several lists of splits: {names}", path=folder, hint="Leave only one there."
        )
    return found[0] if found else None


def read_maestro_csv(path: Path) -> MaestroListing:
    """Sources of every row, relative to the CSV's own folder.

    Raises:
        InvalidInputError: it is not a CSV of MAESTRO's form, or lists nothing.
        StorageError: it cannot be read.
    """
    folder = path.parent
    sources: list[Source] = []
    rejections: list[Rejection] = []
    seen: set[str] = set()
    for row in _rows(path):
        name = row["midi_filename"] or ""
        reason = _why_not(folder, name, row["split"] or "", seen)
        seen.add(name)
        if reason is not None:
            rejections.append(Rejection(path=name, reason=reason))
            continue
        source = Source(
            file=folder / name,
            path=name,
            title=row["canonical_title"] or PurePosixPath(name).stem,
            composer=row["canonical_composer"] or "",
            split=row["split"],
        )
        sources.append(source)
    return MaestroListing(sources=tuple(sources), rejections=tuple(rejections))


def _is_listing(name: str) -> bool:
    # Lists of checksums and the like lie beside the official one, named in the same way.
    return name.endswith(".csv") and "manifest" not in name


def _rows(path: Path) -> list[dict[str, str]]:
    data = read_bytes(path, limit=MAX_CSV_BYTES)
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"is not a CSV in UTF-8: {error}", path=path, hint="Download MAESTRO again."
        ) from error
    missing = [name for name in NEEDED_COLUMNS if name not in (reader.fieldnames or ())]
    if missing or not rows:
        what = f"has no column {', '.join(missing)}" if missing else "lists no piece"
        raise InvalidInputError(what, path=path, hint="Download MAESTRO again.")
    return rows


def _why_not(folder: Path, name: str, split: str, seen: set[str]) -> str | None:
    """Why a row leads to no file, or None."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\0" in name:
        return "the CSV names a file outside its folder"
    if name in seen:
        return "the CSV lists it twice"
    if split not in SPLITS:
        return f"the CSV gives it the split {split!r}, which is none"
    if not (folder / name).is_file():
        return "the CSV lists it, but it is not there"
    return None
