"""Scoring of the validation split between training steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.evaluation.likelihood import ScoringOptions, score_piece
from perceiver_music.model.base import SequenceModel

Ids = npt.NDArray[np.int64]


class ValidationStopped(Exception):
    """Validation was left before its end, because somebody wished to."""


def validation_pieces(store: TokenStore, num_events: int) -> list[Ids]:
    """Whole pieces from the start of the validation split, up to `num_events`, one at least."""
    pieces: list[Ids] = []
    total = 0
    for piece in store.split("validation"):
        if pieces and total + piece.num_tokens + 1 > num_events:
            break
        pieces.append(with_bos_eos(store.ids(piece), store.tokenizer.vocabulary))
        total += piece.num_tokens + 1
    return pieces


def score_pieces(
    model: SequenceModel,
    pieces: Sequence[Ids],
    options: ScoringOptions,
    should_stop: Callable[[], bool],
) -> tuple[float, int, bool]:
    """Total nats and number of events of whole pieces, and whether it was stopped on the way.

    Args:
        model: in evaluation mode.
        pieces: BOS first.
        options: context, latents and stride.
        should_stop: asked before each pass over the network.
    """

    def check() -> None:
        if should_stop():
            raise ValidationStopped

    nats, num_events = 0.0, 0
    # The windows come in many shapes, each of which would be compiled.
    with torch.compiler.set_stance("force_eager"):
        for piece in pieces:
            try:
                scores = score_piece(model, piece, options, check)
            except ValidationStopped:
                return nats, num_events, True
            nats, num_events = nats + float(scores.sum()), num_events + len(scores)
    return nats, num_events, False
