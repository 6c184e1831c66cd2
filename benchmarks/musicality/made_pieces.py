"""Which pieces are continued, and the notes of their made and real continuations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perceiver_music.dataset.token_store import Piece, TokenStore
from perceiver_music.music.midi_file import read_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer.performance_events import decode, encode

PRIMER_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Continued:
    """One piece: what was given, what the pianist played next, and what was made.

    Attributes:
        title: of the piece.
        primer, real, made: notes on the tokenizer's grid; times of `real` and `made` count from
            the end of the primer.
    """

    title: str
    primer: NoteArray
    real: NoteArray
    made: NoteArray


def pieces_of(
    store: TokenStore, split: str, num_pieces: int | None = None
) -> list[tuple[int, Piece]]:
    """The split's pieces with their places in it, or so many spread evenly over it."""
    pieces = list(enumerate(store.split(split)))
    if num_pieces is None or num_pieces >= len(pieces):
        return pieces
    chosen = np.linspace(0, len(pieces) - 1, num_pieces).round().astype(int)
    return [pieces[i] for i in chosen]


def notes_of(store: TokenStore, piece: Piece) -> NoteArray:
    """A piece as the tokenizer keeps it."""
    return decode(store.ids(piece)).notes


def piece_midi(store: TokenStore, piece: Piece) -> bytes:
    """A whole piece, as the tokenizer keeps it, as a MIDI file."""
    return performance_to_midi(decode(store.ids(piece)))


def made_path(folder: Path, index: int) -> Path:
    """Where the continuation of piece `index` is kept."""
    return folder / f"{index:03d}.mid"


def between(notes: NoteArray, first: float, last: float) -> NoteArray:
    """Notes that begin in a stretch, with times from its beginning."""
    begin, end = round(first * MICROSECONDS), round(last * MICROSECONDS)
    found = notes[(notes["start_us"] >= begin) & (notes["start_us"] < end)].copy()
    for column in ("start_us", "end_us"):
        found[column] -= begin
    return found


def made_notes(path: Path) -> NoteArray:
    """The notes of an output, on the tokenizer's grid."""
    performance = read_midi(path).performance
    return decode(encode(apply_sustain(performance))).notes


def continued_pieces(
    store: TokenStore, split: str, folder: Path, seconds: float
) -> Iterator[Continued]:
    """All pieces that were continued and whose pianist went on, too."""
    for index, piece in pieces_of(store, split):
        path = made_path(folder, index)
        whole = notes_of(store, piece)
        real = between(whole, PRIMER_SECONDS, PRIMER_SECONDS + seconds)
        if not path.exists() or not len(real):
            continue
        yield Continued(
            title=piece.title,
            primer=between(whole, 0.0, PRIMER_SECONDS),
            real=real,
            made=between(made_notes(path), 0.0, seconds),
        )
