"""`evaluate`: the likelihood of whole held-out pieces under one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import UsageError
from perceiver_music.jobs.evaluate_pieces import pieces_to_score
from perceiver_music.jobs.evaluate_request import EvaluateRequest
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.tokenizer.registry import get_tokenizer

__all__ = ["EvaluateRequest", "EvaluateResult", "PieceScore", "run"]


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
    items, source, source_sha256 = pieces_to_score(request, tokenizer, warn)
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
