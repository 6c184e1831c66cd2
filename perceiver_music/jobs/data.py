"""`data`: which data sets can be had, and fetching and checking one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perceiver_music.dataset.archive import unpack_zip
from perceiver_music.dataset.catalog import DATA_SETS, DataSet, get_data_set
from perceiver_music.dataset.checksums import LIST_NAME, all_listed, read_checksums, write_checksums
from perceiver_music.dataset.download import Patience, Remote, download
from perceiver_music.dataset.maestro import find_maestro_csv, read_maestro_csv
from perceiver_music.dataset.source import Rejection
from perceiver_music.errors import (
    InvalidInputError,
    OutputExistsError,
    PerceiverMusicError,
    StorageError,
)
from perceiver_music.files import (
    output_exists,
    read_bytes,
    reporting_storage_errors,
    sha256_of_bytes,
)
from perceiver_music.folders import write_folder_atomically
from perceiver_music.jobs.progress import Progress, ProgressCallback, no_progress
from perceiver_music.locks import exclusive_lock
from perceiver_music.music.midi_chunks import MIDI_SUFFIXES
from perceiver_music.music.midi_file import parse_midi

DATA_FOLDER = Path("data")
_MOST_BYTES = 64 << 20
"""Of a listed file, whatever it is; of MIDI files far less is taken for music."""


@dataclass(frozen=True, kw_only=True)
class DataSetResult:
    """One data set of the table, and where it would be or is."""

    data_set: DataSet
    folder: Path

    @property
    def is_here(self) -> bool:
        """Whether its folder is there; `verify` says whether it is whole."""
        return self.folder.is_dir()

    def as_json(self) -> dict[str, Any]:
        """The fields of `data info --json`."""
        one = self.data_set
        return {
            "name": one.name,
            "title": one.title,
            "licence": one.licence,
            "pieces": one.num_pieces,
            "download_megabytes": one.megabytes,
            "url": one.url,
            "sha256": one.sha256,
            "homepage": one.homepage,
            "folder": os.fspath(self.folder),
            "here": self.is_here,
        }


@dataclass(frozen=True, kw_only=True)
class DataListResult:
    """All data sets that can be fetched by name."""

    data_sets: tuple[DataSetResult, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields of `data list --json`."""
        return {"data_sets": [each.as_json() for each in self.data_sets]}


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """What a data set's folder is worth.

    Attributes:
        folder: what was looked at.
        pieces: files of music that should be there.
        checksums: files that were compared with `SHA256SUMS`; 0 where there is no such list.
        problems: files that are missing, changed or unreadable.
    """

    folder: Path
    pieces: int
    checksums: int
    problems: tuple[Rejection, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all that should be there is there and can be read."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The fields of `data verify --json`."""
        return {
            "folder": os.fspath(self.folder),
            "pieces": self.pieces,
            "checksums": self.checksums,
            "whole": self.is_whole,
            "problems": [{"path": each.path, "reason": each.reason} for each in self.problems],
        }


@dataclass(frozen=True, kw_only=True)
class DownloadRequest:
    """What to fetch.

    Attributes:
        name: of the data set.
        output: the folder that it becomes; None for `data/<name>`.
        overwrite: replace a folder that exists.
        patience: how long to put up with a server.
    """

    name: str
    output: Path | None = None
    overwrite: bool = False
    patience: Patience = field(default_factory=Patience)

    @property
    def folder(self) -> Path:
        """Where the data set goes."""
        return folder_of(self.name) if self.output is None else self.output


@dataclass(frozen=True, kw_only=True)
class DownloadResult:
    """What was fetched."""

    data_set: DataSet
    folder: Path
    files: int

    def as_json(self) -> dict[str, Any]:
        """The fields of `data download --json`."""
        return {
            "name": self.data_set.name,
            "folder": os.fspath(self.folder),
            "files": self.files,
            "url": self.data_set.url,
            "sha256": self.data_set.sha256,
            "licence": self.data_set.licence,
        }


def folder_of(name: str) -> Path:
    """Where a data set is looked for and put when nobody says."""
    return DATA_FOLDER / name


def list_data_sets() -> DataListResult:
    """Every data set of the table."""
    return DataListResult(data_sets=tuple(info(data_set.name) for data_set in DATA_SETS))


def info(name: str) -> DataSetResult:
    """What the table says of a data set.

    Raises:
        UsageError: there is no such data set.
    """
    return DataSetResult(data_set=get_data_set(name), folder=folder_of(name))


def fetch(request: DownloadRequest, on_progress: ProgressCallback = no_progress) -> DownloadResult:
    """Download, verify and unpack a data set; its folder appears when it is whole.

    Raises:
        UsageError: there is no such data set.
        InvalidInputError: what came is not it.
        UnavailableError: the network is forbidden or fails; the next call goes on from there.
        OutputExistsError: the folder exists and is not to be replaced, or holds other things.
        BusyError: another process is fetching the same.
        StorageError: it cannot be written.
    """
    data_set, folder = get_data_set(request.name), request.folder
    _refuse_what_is_there(folder, overwrite=request.overwrite)
    archive = folder.absolute().with_name(f".{data_set.sha256[:16]}.zip")
    with exclusive_lock(archive):
        download(
            Remote(url=data_set.url, sha256=data_set.sha256, most_bytes=data_set.most_bytes),
            archive,
            on_bytes=_report(on_progress, "downloading"),
            patience=request.patience,
        )
        with write_folder_atomically(folder.absolute(), overwrite=request.overwrite) as temporary:
            checksums = unpack_zip(
                archive,
                temporary,
                root=data_set.root,
                most_bytes=data_set.most_unpacked_bytes,
                on_bytes=_report(on_progress, "unpacking"),
            )
            write_checksums(temporary, checksums)
        with reporting_storage_errors(archive):
            archive.unlink()
    return DownloadResult(data_set=data_set, folder=folder, files=len(checksums))


def _refuse_what_is_there(folder: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise output_exists(folder)
    # Replacing a folder removes all that is in it, which must never be somebody's own files.
    with reporting_storage_errors(folder):
        if folder.is_symlink() or not all_listed(folder):
            raise OutputExistsError(
                "holds other things than a data set that was downloaded",
                path=folder,
                hint="Choose another folder with -o, or remove this one yourself.",
            )


def verify(name_or_folder: str, on_progress: ProgressCallback = no_progress) -> VerifyResult:
    """Read every file that a data set's folder should hold, and compare checksums it has.

    Raises:
        InvalidInputError: a folder without a list of its pieces, or a list that cannot be read.
        StorageError: there is no such folder, or the data set is not here.
    """
    folder, num_expected = _folder_to_verify(name_or_folder)
    listing = find_maestro_csv(folder)
    if listing is None:
        raise InvalidInputError(
            "has no list of its pieces (maestro-v*.csv), so nobody can say what is missing",
            path=folder,
            hint="Name a data set of `perceiver-music data list`, or its folder.",
        )
    maestro, checksums = read_maestro_csv(listing), read_checksums(folder)
    pieces = {source.path for source in maestro.sources}
    problems = list(maestro.rejections)
    missing = {rejection.path for rejection in problems}
    names = sorted((pieces | set(checksums)) - missing)
    for done, name in enumerate(names, start=1):
        reason = _why_not(folder / name, checksums.get(name), name=name)
        if reason is not None:
            problems.append(Rejection(path=name, reason=reason))
        on_progress(Progress(done=done, total=len(names), unit="files"))
    num_pieces = len(pieces) + len(maestro.rejections)
    if num_expected is not None and num_pieces != num_expected:
        reason = f"lists {num_pieces:,} pieces; the data set has {num_expected:,}"
        problems.append(Rejection(path=listing.name, reason=reason))
    return VerifyResult(
        folder=folder,
        pieces=num_pieces,
        checksums=len(set(names) & set(checksums)),
        problems=tuple(problems),
    )


def _folder_to_verify(name_or_folder: str) -> tuple[Path, int | None]:
    """The folder, and how many pieces the data set of that name has."""
    if name_or_folder in {data_set.name for data_set in DATA_SETS}:
        data_set, folder = get_data_set(name_or_folder), folder_of(name_or_folder)
        if not folder.is_dir():
            raise StorageError(
                "is not here",
                path=folder,
                hint=f"Fetch it with `perceiver-music data download {data_set.name}`.",
            )
        return folder, data_set.num_pieces
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise StorageError(
            "is neither a data set nor a folder",
            path=folder,
            hint="Name a data set of `perceiver-music data list`, or its folder.",
        )
    return folder, None


def _why_not(file: Path, sha256: str | None, *, name: str) -> str | None:
    """What is wrong with a file, or None."""
    try:
        data = read_bytes(file, limit=_MOST_BYTES)
        if sha256 is not None and sha256_of_bytes(data) != sha256:
            return f"its checksum is not the one in {LIST_NAME}"
        if name.lower().endswith(MIDI_SUFFIXES):
            parse_midi(data, name=name)
    except PerceiverMusicError as error:
        return error.message
    return None


def _report(on_progress: ProgressCallback, what: str) -> Callable[[int, int | None], None]:
    def report(done: int, total: int | None) -> None:
        on_progress(Progress(done=done, total=total, unit="bytes", message=what))

    return report
