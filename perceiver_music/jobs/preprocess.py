"""`preprocess`: files of music in, a token store out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from perceiver_music.dataset.folder import SourceListing, list_sources
from perceiver_music.dataset.source import Reading, Rejection
from perceiver_music.dataset.store_index import SPLITS
from perceiver_music.dataset.token_store import EncodedPiece, TokenStore, write_token_store
from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.jobs.source_readers import Outcomes, reader
from perceiver_music.locks import exclusive_lock
from perceiver_music.processors import num_processors
from perceiver_music.tokenizer.registry import DEFAULT_TOKENIZER, get_tokenizer

STORE_FOLDER = Path("data")
STORE_SUFFIX = ".store"

_MOST_WARNINGS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class PreprocessRequest:
    """What to prepare.

    Attributes:
        sources: folders, files and patterns.
        output: the store to write; None for `data/<name of the first source>.store`.
        workers: processes that read; None for one a processor. The store does not depend on it.
        overwrite: replace a store that exists.
        tokenizer: whose ids the store holds.
    """

    sources: tuple[str, ...]
    output: Path | None = None
    workers: int | None = None
    overwrite: bool = False
    tokenizer: str = DEFAULT_TOKENIZER

    def __post_init__(self) -> None:
        get_tokenizer(self.tokenizer)
        if not self.sources:
            raise UsageError("no source was given", hint="Name a folder with MIDI files.")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"{self.workers} workers cannot work", hint="Use --workers 1 or more.")

    @property
    def store_path(self) -> Path:
        """Where the store goes."""
        return self.output or STORE_FOLDER / f"{self.source_name}{STORE_SUFFIX}"

    @property
    def source_name(self) -> str:
        """What the first source is called."""
        first = Path(self.sources[0]).resolve()
        return first.name if first.is_dir() else first.stem


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """How much music a split holds."""

    pieces: int
    notes: int
    events: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PreprocessResult:
    """What was prepared.

    Attributes:
        store: the file written.
        sha256: its checksum.
        tokenizer: name of the tokenizer.
        splits: summary of each split.
        duplicates: [path, path of the piece it repeats] pairs that were dropped.
        rejected: files, or pieces of files, that could not be read.
    """

    store: Path
    sha256: str
    tokenizer: str
    splits: dict[str, SplitSummary]
    duplicates: tuple[tuple[str, str], ...]
    rejected: tuple[Rejection, ...]

    def as_json(self) -> dict[str, object]:
        """The fields of `preprocess --json`."""
        return {
            "store": os.fspath(self.store),
            "store_sha256": self.sha256,
            "tokenizer": self.tokenizer,
            "splits": {
                name: {
                    "pieces": split.pieces,
                    "notes": split.notes,
                    "events": split.events,
                    "seconds": split.seconds,
                }
                for name, split in self.splits.items()
            },
            "duplicates": len(self.duplicates),
            "duplicate_files": [
                {"path": path, "same_as": same_as} for path, same_as in self.duplicates
            ],
            "rejected": [{"path": each.path, "reason": each.reason} for each in self.rejected],
        }


def run(
    request: PreprocessRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> PreprocessResult:
    """Read every source, drop what repeats, and write the store.

    Raises:
        InvalidInputError: nothing could be read.
        UnavailableError: nothing could be read, for want of an extra.
        OutputExistsError: the store exists and is not to be overwritten.
        BusyError: another process is writing the same store.
        StorageError: a source is missing, or the store cannot be written.
    """
    path = request.store_path
    listing = list_sources(request.sources)
    collector = _Collector(listing)
    num_workers = min(request.workers or num_processors(), len(listing.sources))
    with exclusive_lock(path):
        with reader(num_workers, request.tokenizer) as read:
            pieces = _with_one_to_train_on(collector.readings(read(listing.sources), on_progress))
            sha256 = write_token_store(
                path,
                pieces,
                tokenizer_name=request.tokenizer,
                fingerprint=get_tokenizer(request.tokenizer).fingerprint,
                overwrite=request.overwrite,
            )
        splits = _summary(TokenStore.open(path))
    collector.pass_on_warnings(warn)
    return PreprocessResult(
        store=path,
        sha256=sha256,
        tokenizer=request.tokenizer,
        splits=splits,
        duplicates=tuple(collector.duplicates),
        rejected=tuple(collector.rejected),
    )


class _Collector:
    """Takes outcomes in the order of the sources; keeps count of all but the pieces."""

    def __init__(self, listing: SourceListing) -> None:
        self._num_sources = len(listing.sources)
        self._path_of: dict[str, str] = {}
        self._warnings: list[str] = []
        self.duplicates: list[tuple[str, str]] = []
        self.rejected = list(listing.rejections)

    def readings(self, outcomes: Outcomes, on_progress: ProgressCallback) -> Iterator[Reading]:
        """The pieces to store.

        Raises:
            InvalidInputError: there is none.
            UnavailableError: there is none, for want of an extra.
        """
        num_pieces = 0
        for done, of_source in enumerate(outcomes, start=1):
            for outcome in of_source:
                if isinstance(outcome, Rejection):
                    self.rejected.append(outcome)
                elif self._is_new(outcome):
                    num_pieces += 1
                    yield outcome
            on_progress(Progress(done=done, total=self._num_sources, unit="files"))
        if num_pieces == 0:
            raise self._nothing_read()

    def _is_new(self, reading: Reading) -> bool:
        path = reading.piece.path
        self._warnings += [f"{path}: {warning}" for warning in reading.warnings]
        first = self._path_of.get(reading.identity)
        # An official list of pieces is taken at its word, repeats and all.
        if first is not None and not reading.is_official:
            self.duplicates.append((path, first))
            return False
        self._path_of.setdefault(reading.identity, path)
        return True

    def _nothing_read(self) -> InvalidInputError | UnavailableError:
        first = self.rejected[0]
        message = f"none of {len(self.rejected)} files can be read; the first: {first.reason}"
        if all(rejection.is_unavailable for rejection in self.rejected):
            return UnavailableError(message, path=first.path)
        return InvalidInputError(
            message, path=first.path, hint="Give a folder of MIDI files with piano notes."
        )

    def pass_on_warnings(self, warn: WarningCallback) -> None:
        """Tell of the first few in full, and how many there are of the rest."""
        for message in self._warnings[:_MOST_WARNINGS_SHOWN]:
            warn(message)
        rest = len(self._warnings) - _MOST_WARNINGS_SHOWN
        if rest > 0:
            warn(f"{rest} more files have something odd about them")


def _with_one_to_train_on(readings: Iterator[Reading]) -> Iterator[EncodedPiece]:
    """Pieces as they are, but a handful whose hashes all say otherwise still trains on one."""
    held: list[Reading] = []
    for reading in readings:
        held.append(reading)
        if reading.piece.split == "train":
            yield from (each.piece for each in held)
            yield from (each.piece for each in readings)
            return
    for i, reading in enumerate(held):
        is_moved = i == 0 and not reading.is_official
        yield replace(reading.piece, split="train") if is_moved else reading.piece


def _summary(store: TokenStore) -> dict[str, SplitSummary]:
    num_pieces = Counter(piece.split for piece in store.pieces)
    return {
        split: SplitSummary(
            pieces=num_pieces[split],
            notes=sum(piece.num_notes for piece in store.split(split)),
            events=sum(piece.num_tokens for piece in store.split(split)),
            seconds=sum(piece.seconds for piece in store.split(split)),
        )
        for split in SPLITS
    }
