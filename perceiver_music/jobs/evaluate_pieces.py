"""The pieces that `evaluate` scores: those of a store, or of MIDI files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import sha256_of_bytes, sha256_of_file
from perceiver_music.jobs.progress import WarningCallback
from perceiver_music.tokenizer.base import Tokenizer

if TYPE_CHECKING:
    from perceiver_music.jobs.evaluate_request import EvaluateRequest
    from perceiver_music.music.midi_file import MidiFile


@dataclass(frozen=True, kw_only=True)
class PieceToScore:
    """A piece to score."""

    path: str
    title: str
    notes: int
    seconds: float
    ids: npt.NDArray[np.integer]


def pieces_to_score(
    request: EvaluateRequest, tokenizer: Tokenizer, warn: WarningCallback
) -> tuple[list[PieceToScore], str, str | None]:
    """The pieces, what they are called together, and the source's checksum.

    Raises:
        StorageError: a file cannot be read.
        InvalidInputError: the store or a file is not what it claims to be, or there is no piece.
    """
    if request.data is not None:
        items, store_sha256 = _items_of_store(request.data, request.split, tokenizer)
        source, source_sha256 = f"{os.fspath(request.data)} ({request.split})", store_sha256
    else:
        files = request.files[: request.max_pieces]
        items = list(_items_of_files(files, tokenizer, warn))
        source = ", ".join(map(_name_of, files))
        digests = "".join(map(_sha256_of, files))
        source_sha256 = hashlib.sha256(digests.encode()).hexdigest()
    items = items[: request.max_pieces]
    if not items:
        raise InvalidInputError(
            f"has no piece to score in the split {request.split!r}",
            path=request.data,
            hint="A small folder has none there; name another --split: train, validation, test.",
        )
    return items, source, source_sha256


def _items_of_store(path: Path, split: str, tokenizer: Tokenizer) -> tuple[list[PieceToScore], str]:
    from perceiver_music.dataset.token_store import TokenStore

    store = TokenStore.open(path)
    if store.tokenizer_name != tokenizer.name:
        raise InvalidInputError(
            f"holds {store.tokenizer_name}, and the checkpoint speaks {tokenizer.name}",
            path=path,
            hint=f"Make a store for it with preprocess --tokenizer {tokenizer.name}.",
        )
    items = [
        PieceToScore(
            path=piece.path,
            title=piece.title,
            notes=piece.num_notes,
            seconds=piece.seconds,
            ids=store.ids(piece),
        )
        for piece in store.split(split)
    ]
    return items, store.sha256


def _name_of(file: Path | bytes) -> str:
    return "-" if isinstance(file, bytes) else os.fspath(file)


def _sha256_of(file: Path | bytes) -> str:
    return sha256_of_bytes(file) if isinstance(file, bytes) else sha256_of_file(file)


def readable(file: Path | bytes) -> MidiFile:
    """A file that has something to score.

    Raises:
        StorageError: it cannot be read.
        InvalidInputError: it is no MIDI file, or without notes.
    """
    from perceiver_music.music.midi_file import lack_of_notes, parse_midi, read_midi

    name = _name_of(file)
    midi = parse_midi(file, name=name) if isinstance(file, bytes) else read_midi(file)
    if not midi.performance.num_notes:
        raise InvalidInputError(lack_of_notes(midi.warnings), path=name)
    return midi


def _items_of_files(
    files: tuple[Path | bytes, ...], tokenizer: Tokenizer, warn: WarningCallback
) -> Iterator[PieceToScore]:
    for file in files:
        name, midi = _name_of(file), readable(file)
        for warning in midi.warnings:
            warn(f"{name}: {warning}")
        yield PieceToScore(
            path=name,
            title="stdin" if isinstance(file, bytes) else file.stem,
            notes=midi.performance.num_notes,
            seconds=midi.performance.seconds,
            ids=tokenizer.encode(midi.performance),
        )
