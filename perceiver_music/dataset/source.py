"""From a file of music to encoded pieces, and how two of them are known to be the same piece.

What runs here runs in worker processes too: no torch, nothing kept between files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perceiver_music.dataset.note_sequence import is_note_sequence_file, read_note_sequences
from perceiver_music.dataset.token_store import EncodedPiece
from perceiver_music.errors import PerceiverMusicError, UnavailableError
from perceiver_music.files import read_bytes, sha256_of_bytes
from perceiver_music.music.midi_chunks import MAX_FILE_BYTES
from perceiver_music.music.midi_file import lack_of_notes, parse_midi
from perceiver_music.music.performance import Performance
from perceiver_music.tokenizer.base import Tokenizer
from perceiver_music.tokenizer.registry import DEFAULT_TOKENIZER, get_tokenizer

SAME_PIECE_GRID_US = 10_000

TRAIN_SHARE = 0.8
VALIDATION_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to read.

    Attributes:
        file: where it is.
        path: its name in the store, relative to the source the user gave, forward slashes; longer
            where another file would have the same.
        title: of the piece; the file's name when nobody says.
        composer: empty when nobody says.
        split: the official one, or None to have the piece's content decide.
    """

    file: Path
    path: str
    title: str
    composer: str = ""
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One piece of a source, encoded.

    Attributes:
        piece: ready to be stored.
        identity: equal for two recordings that are the same piece (see `identity_of`).
        is_official: the split was given by the source.
        warnings: what the reader had to say.
    """

    piece: EncodedPiece
    identity: str
    is_official: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A source, or a piece of one, that could not be read."""

    path: str
    reason: str
    is_unavailable: bool = False


def read_source(
    source: Source, tokenizer_name: str = DEFAULT_TOKENIZER
) -> list[Reading | Rejection]:
    """Read, encode and identify every piece of a file. Never raises for a bad file."""
    tokenizer = get_tokenizer(tokenizer_name)
    outcomes: list[Reading | Rejection] = []
    try:
        for name, title, sha256, performance, warnings in _performances(source):
            if isinstance(performance, PerceiverMusicError):
                outcomes.append(_rejection(name, performance))
            else:
                outcomes.append(
                    _encode(tokenizer, source, name, title, sha256, performance, warnings)
                )
    except PerceiverMusicError as error:
        outcomes.append(_rejection(source.path, error))
    except Exception as error:  # one file, whatever is in it, must not end a run over thousands
        reason = f"internal error, please report it: {type(error).__name__}: {error}"
        outcomes.append(Rejection(path=source.path, reason=reason))
    return outcomes


def identity_of(performance: Performance) -> str:
    """A hash of which keys are struck when, on a 10 ms grid that starts at the first note.

    Velocities, releases, pedal, silence at the start and the file's own name and layout do not
    enter, so a copy saved by another program is still the same piece.
    """
    starts, pitches = performance.notes["start_us"], performance.notes["pitch"]
    if not len(starts):
        return hashlib.sha256().hexdigest()
    steps = (starts - starts.min() + SAME_PIECE_GRID_US // 2) // SAME_PIECE_GRID_US
    order = np.lexsort((pitches, steps))
    data = steps[order].astype("<i8").tobytes() + pitches[order].tobytes()
    return hashlib.sha256(data).hexdigest()


def split_of(identity: str) -> str:
    """The split of a piece whose source names none: by its identity alone, 80/10/10.

    The same piece goes to the same split in every folder, under every name.
    """
    share = int(identity[:16], 16) / 2**64
    if share < TRAIN_SHARE:
        return "train"
    return "validation" if share < TRAIN_SHARE + VALIDATION_SHARE else "test"


_Item = tuple[str, str, str, Performance | PerceiverMusicError, tuple[str, ...]]


def _performances(source: Source) -> Iterator[_Item]:
    """Name, title, source hash, performance and warnings of each piece of a file."""
    if is_note_sequence_file(source.file):
        for record in read_note_sequences(source.file):
            name = source.path if record.number is None else f"{source.path}#{record.number}"
            yield name, record.title or source.title, record.sha256, record.outcome, ()
    else:
        data = read_bytes(source.file, limit=MAX_FILE_BYTES)
        midi = parse_midi(data, name=source.path)
        yield source.path, source.title, sha256_of_bytes(data), midi.performance, midi.warnings


def _encode(
    tokenizer: Tokenizer,
    source: Source,
    name: str,
    title: str,
    sha256: str,
    performance: Performance,
    warnings: tuple[str, ...],
) -> Reading | Rejection:
    if performance.num_notes == 0:
        return Rejection(path=name, reason=lack_of_notes(warnings))
    identity = identity_of(performance)
    piece = EncodedPiece(
        title=title,
        composer=source.composer,
        split=source.split or split_of(identity),
        path=name,
        source_sha256=sha256,
        seconds=performance.seconds,
        ids=tokenizer.encode(performance),
        notes=tokenizer.notes(performance),
    )
    is_official = source.split is not None
    return Reading(piece=piece, identity=identity, is_official=is_official, warnings=warnings)


def _rejection(path: str, error: PerceiverMusicError) -> Rejection:
    reason = error.message
    is_unavailable = isinstance(error, UnavailableError)
    if is_unavailable and error.hint:
        reason = f"{reason} ({error.hint})"
    return Rejection(path=path, reason=reason, is_unavailable=is_unavailable)
