"""The training set that `check` compares with: found beside a checkpoint, or made from a store.

A checkpoint may carry an index (`passages.index`, see `evaluation/passage_index_file.py`), so that
nobody needs the data set. From a token store one is made in seconds and kept in the user's cache,
under the store's own checksum.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.errors import InvalidInputError, PerceiverMusicError, UnavailableError
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)

if TYPE_CHECKING:
    from perceiver_music.dataset.store_index import Piece
    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.evaluation.novelty import PassageIndex
    from perceiver_music.evaluation.passage_index_file import TrainingPassages

INDEX_FILE: Final = "passages.index"
UNSEEN_NOTES: Final = (250, 1_000, 4_000)
"""Lengths of excerpts for which it is known how much unseen real pieces share."""
UNSEEN_EXCERPTS: Final = 60
"""So many of each length, one a piece, are looked up."""


def find(
    checkpoint: str | None,
    data: Path | None,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> TrainingPassages:
    """The training set of a checkpoint, or of a store.

    Args:
        checkpoint: name or folder; None is the bundled one.
        data: a token store, which then counts instead.
        on_progress: told of the pieces that are indexed.
        warn: told when the index could not be kept.

    Raises:
        InvalidInputError: the checkpoint, its index or the store are not what they should be.
        UnavailableError: the checkpoint carries no index.
        StorageError: something cannot be read.
    """
    from perceiver_music.evaluation.passage_index_file import read_passages
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

    if data is not None:
        return _of_store(data, on_progress, warn)
    path = resolve_checkpoint(checkpoint) / INDEX_FILE
    if not path.is_file():
        raise UnavailableError(
            "this checkpoint carries no index of its training set",
            path=path.parent,
            hint="Name its token store with --data STORE; it is indexed once, in seconds.",
        )
    return read_passages(path)


def _of_store(path: Path, on_progress: ProgressCallback, warn: WarningCallback) -> TrainingPassages:
    import platformdirs

    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.evaluation.passage_index_file import read_passages, write_passages

    store = TokenStore.open(path)  # all of it is checked: an index that is kept proves nothing
    folder = platformdirs.user_cache_path("perceiver-music") / "passages"
    kept = folder / f"{store.sha256}.index"
    if kept.is_file():
        with contextlib.suppress(PerceiverMusicError):  # what is damaged is made again
            passages = read_passages(kept)
            # Those that do not tell the tokenizer had figures of keys, not of what is heard.
            if passages.about.get("tokenizer") == store.tokenizer_name:
                return passages
    passages = _index_of(store, None, on_progress, warn)
    try:
        write_passages(kept, passages, overwrite=True)
    except PerceiverMusicError as error:
        warn(f"the index is not kept for the next time: {error}")
    return passages


def index_of(
    data: Path,
    *,
    midi_folder: Path | None = None,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> TrainingPassages:
    """Index the train split of a store.

    Args:
        data: the token store.
        midi_folder: where its MIDI files lie; the store itself may have no pedal.
        on_progress: told of the pieces.
        warn: told of files that are missing.

    Raises:
        InvalidInputError: it is no token store, or has nothing to train on.
        StorageError: it cannot be read.
    """
    from perceiver_music.dataset.token_store import TokenStore

    return _index_of(TokenStore.open(data), midi_folder, on_progress, warn)


def _index_of(
    store: TokenStore,
    midi_folder: Path | None,
    on_progress: ProgressCallback,
    warn: WarningCallback,
) -> TrainingPassages:
    from perceiver_music.evaluation.figures import figures_of, ranges_of
    from perceiver_music.evaluation.note_text import NoteText
    from perceiver_music.evaluation.novelty import PassageIndex
    from perceiver_music.evaluation.passage_index_file import TrainingPassages
    from perceiver_music.music.sustain import apply_sustain

    tokenizer = store.tokenizer
    pieces = [piece for piece in store.split("train") if piece.num_notes]
    if not pieces:
        raise InvalidInputError("has no pieces to train on", path=store.path)
    notes, figures = [], []
    for done, piece in enumerate(pieces, start=1):
        notes.append(store.notes(piece))
        played = tokenizer.stored_performance(store.ids(piece), notes[-1])
        pedal = _pedal_of(midi_folder, piece, warn)
        if pedal is None and tokenizer.plays_pedal:
            pedal = played.pedal
        figures.append(figures_of(apply_sustain(played).notes, pedal))
        on_progress(Progress(done=done, total=len(pieces), unit="pieces"))
    text = NoteText.of(notes)
    return TrainingPassages(
        text=text,
        pieces=tuple(
            {"title": piece.title, "composer": piece.composer, "path": piece.path}
            for piece in pieces
        ),
        ranges=ranges_of(figures),
        unseen=tuple(_unseen(store, PassageIndex(text))),
        about={
            "store_sha256": store.sha256,
            "split": "train",
            "tokenizer": store.tokenizer_name,
        },
    )


def _pedal_of(folder: Path | None, piece: Piece, warn: WarningCallback) -> Any:
    from perceiver_music.music.midi_file import read_midi

    if folder is None:
        return None
    try:
        return read_midi(folder / piece.path).performance.pedal
    except PerceiverMusicError as error:
        warn(f"the pedal of {piece.path} is not known: {error.message}")
        return None


def _unseen(store: TokenStore, index: PassageIndex) -> list[dict[str, Any]]:
    """How long a passage excerpts of pieces that nobody trained on share with the training set."""
    import numpy as np

    outside = [piece for piece in store.split("validation") if piece.num_notes]
    rows = []
    for num_notes in UNSEEN_NOTES:
        long_enough = [piece for piece in outside if piece.num_notes >= num_notes]
        chosen = long_enough[:: max(1, -(-len(long_enough) // UNSEEN_EXCERPTS))]
        excerpts = []
        for piece in chosen:
            first = (piece.num_notes - num_notes) // 2
            excerpts.append(store.notes(piece)[first : first + num_notes])
        if not excerpts:
            continue
        found = [index.longest_shared(notes).num_notes for notes in excerpts]
        rows.append(
            {
                "notes": num_notes,
                "excerpts": len(found),
                "median": int(np.median(found)),
                "p95": int(np.ceil(np.percentile(found, 95))),
                "longest": max(found),
            }
        )
    return rows


def expected_shared(unseen: Sequence[Any], num_notes: int) -> dict[str, Any] | None:
    """What unseen real music of about that length shares with the training set, if it is known."""
    if not unseen or not num_notes:
        return None
    return dict(min(unseen, key=lambda row: abs(math.log(row["notes"] / num_notes))))
