"""`evaluate`: the likelihood of whole held-out pieces under one checkpoint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import sha256_of_bytes, sha256_of_file
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.tokenizer.base import Tokenizer
from perceiver_music.tokenizer.registry import get_tokenizer

if TYPE_CHECKING:
    from perceiver_music.music.midi_file import MidiFile

Ids = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """What to score, and with how much context.

    Attributes:
        data: a token store, or None when `files` are given.
        files: MIDI files; bytes are of one that came by standard input, which is called `-`.
        checkpoint: folder or name; None for the bundled one.
        split: of the store.
        context: the most events a prediction sees; None for the checkpoint's own.
        latents: how many of them go through the stack; None for the checkpoint's own.
        stride: events newly scored per window; None for half the latents.
        max_pieces: only the first so many, in the store's order.
        per_event: keep the nats of every event.
        device: `auto`, `cpu`, `cuda`, `mps`.
    """

    data: Path | None = None
    files: tuple[Path | bytes, ...] = ()
    checkpoint: str | None = None
    split: str = "test"
    context: int | None = None
    latents: int | None = None
    stride: int | None = None
    max_pieces: int | None = None
    per_event: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if bool(self.files) == (self.data is not None):
            raise UsageError(
                "either a store or MIDI files can be evaluated",
                hint="Give --data STORE, or name MIDI files.",
            )
        if self.split not in ("train", "validation", "test"):
            raise UsageError(
                f"there is no split {self.split!r}", hint="Use train, validation or test."
            )
        for name in ("context", "latents", "stride", "max_pieces"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} is 1 or more")


@dataclass(frozen=True, kw_only=True)
class PieceScore:
    """The likelihood of one piece; `nats` has one number an event, EOS last."""

    path: str
    title: str
    notes: int
    seconds: float
    nats: npt.NDArray[np.float64]

    @property
    def events(self) -> int:
        """Events scored, EOS included."""
        return len(self.nats)

    def as_json(self, *, per_event: bool) -> dict[str, Any]:
        """The row of this piece."""
        row: dict[str, Any] = {
            "path": self.path,
            "title": self.title,
            "events": self.events,
            "notes": self.notes,
            "seconds": self.seconds,
            "nats_per_event": float(self.nats.mean()),
        }
        if per_event:
            row["nats"] = [round(float(nats), 6) for nats in self.nats]
        return row


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """The likelihood of a set of pieces; sums are over all events, not means of means."""

    checkpoint: str
    checkpoint_sha256: str
    source: str
    source_sha256: str | None
    context: int
    latents: int
    stride: int
    device: str
    num_threads: int
    pieces: tuple[PieceScore, ...]
    per_event: bool

    @property
    def events(self) -> int:
        """Events scored."""
        return sum(piece.events for piece in self.pieces)

    @property
    def nats(self) -> float:
        """Nats of all of them."""
        return float(sum(piece.nats.sum() for piece in self.pieces))

    @property
    def nats_per_event(self) -> float:
        """The headline figure."""
        return self.nats / self.events

    def as_json(self) -> dict[str, Any]:
        """The fields of `evaluate --json`."""
        notes = sum(piece.notes for piece in self.pieces)
        seconds = sum(piece.seconds for piece in self.pieces)
        return {
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "source": self.source,
            "source_sha256": self.source_sha256,
            "pieces": len(self.pieces),
            "events": self.events,
            "notes": notes,
            "seconds": seconds,
            "nats_per_event": self.nats_per_event,
            "nats_per_note": self.nats / notes,
            # Of music so fast that it takes no time on the grid there is no such figure.
            "nats_per_second": self.nats / seconds if seconds else None,
            "context": self.context,
            "latents": self.latents,
            "stride": self.stride,
            "device": self.device,
            "threads": self.num_threads,
            "per_piece": [piece.as_json(per_event=self.per_event) for piece in self.pieces],
        }


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A piece to score."""

    path: str
    title: str
    notes: int
    seconds: float
    ids: Ids


def run(
    request: EvaluateRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> EvaluateResult:
    """Score every event of every piece once, by the raw softmax of the checkpoint as shipped.

    Raises:
        UsageError: context, latents and stride do not fit together.
        InvalidInputError: a checkpoint, store or MIDI file is not what it claims to be, or there
            is nothing to score.
        UnavailableError: the device is not there.
    """
    import torch

    from perceiver_music.evaluation.likelihood import ScoringOptions, score_piece
    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description
    from perceiver_music.model.device import choose_device

    device = choose_device(request.device)
    checkpoint = resolve_checkpoint(request.checkpoint)
    tokenizer = get_tokenizer(read_description(checkpoint).tokenizer_name)
    items, source, source_sha256 = _items(request, tokenizer, warn)
    loaded = load_checkpoint(checkpoint, device)
    bos, eos = tokenizer.vocabulary.bos, tokenizer.vocabulary.eos
    try:
        wanted = {name: getattr(request, name) for name in ("context", "latents", "stride")}
        options = ScoringOptions.for_model(loaded.model, **wanted)
    except ValueError as error:
        raise UsageError(str(error)) from None
    total = sum(len(item.ids) + 1 for item in items)
    scores: list[PieceScore] = []
    done = 0
    for item in items:
        on_progress(Progress(done=done, total=total, unit="events", message=item.title))
        sequence = np.concatenate(([bos], item.ids.astype(np.int64), [eos]))
        nats = score_piece(loaded.model, sequence, options)
        done += len(nats)
        scores.append(
            PieceScore(
                path=item.path,
                title=item.title,
                notes=item.notes,
                seconds=item.seconds,
                nats=nats,
            )
        )
    on_progress(Progress(done=done, total=total, unit="events"))
    return EvaluateResult(
        checkpoint=loaded.name,
        checkpoint_sha256=loaded.sha256,
        source=source,
        source_sha256=source_sha256,
        context=options.context,
        latents=options.latents,
        stride=options.stride,
        device=str(device),
        num_threads=torch.get_num_threads(),
        pieces=tuple(scores),
        per_event=request.per_event,
    )


def _items(
    request: EvaluateRequest, tokenizer: Tokenizer, warn: WarningCallback
) -> tuple[list[_Item], str, str | None]:
    """The pieces, what they are called together, and the source's checksum."""
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


def _items_of_store(path: Path, split: str, tokenizer: Tokenizer) -> tuple[list[_Item], str]:
    from perceiver_music.dataset.token_store import TokenStore

    store = TokenStore.open(path)
    if store.tokenizer_name != tokenizer.name:
        raise InvalidInputError(
            f"holds {store.tokenizer_name}, and the checkpoint speaks {tokenizer.name}",
            path=path,
            hint=f"Make a store for it with preprocess --tokenizer {tokenizer.name}.",
        )
    items = [
        _Item(
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
) -> Iterator[_Item]:
    for file in files:
        name, midi = _name_of(file), readable(file)
        for warning in midi.warnings:
            warn(f"{name}: {warning}")
        yield _Item(
            path=name,
            title="stdin" if isinstance(file, bytes) else file.stem,
            notes=midi.performance.num_notes,
            seconds=midi.performance.seconds,
            ids=tokenizer.encode(midi.performance),
        )
