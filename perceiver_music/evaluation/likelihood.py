"""How likely a model finds whole pieces: every event scored once, by the raw softmax.

A piece is BOS, its events, EOS; all but BOS are scored. The first window scores its first
`latents` events. Each further one ends `stride` tokens later and scores the `stride` events that
are new, so that each of those stands behind at least `latents - stride` latents and all the
context that is allowed (Hawthorne et al. 2022, arXiv 2202.07765, section 4: strided evaluation).
No grammar, no ensemble, no adaptation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from perceiver_music.model.base import SequenceModel

_TOKENS_PER_PASS = 16_384
_TOKENS_PER_PASS_OF_A_GPU = 262_144
"""Windows of full length run together up to this many tokens; a bound on memory."""


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How much a prediction may see.

    Attributes:
        context: the most tokens before a prediction.
        latents: how many of them, at the end, go through the stack.
        stride: events newly scored by each window.
    """

    context: int
    latents: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.latents <= self.context:
            raise ValueError(
                f"stride ({self.stride}) <= latents ({self.latents}) <= context ({self.context})"
                " is needed, and a stride of 1 or more"
            )

    @classmethod
    def for_model(
        cls,
        model: SequenceModel,
        *,
        context: int | None = None,
        latents: int | None = None,
        stride: int | None = None,
    ) -> ScoringOptions:
        """The model's own context and latents where none are given; a stride of half of them."""
        context = context or model.context
        latents = latents or min(model.latents, context)
        return cls(context=context, latents=latents, stride=stride or max(1, latents // 2))


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Tokens `start:end` predict; the last `num_scored` predictions count."""

    start: int
    end: int
    num_latents: int
    num_scored: int


def _windows(length: int, options: ScoringOptions) -> Iterator[_Window]:
    """The windows of a piece of `length` tokens, BOS and EOS included."""
    num_inputs = length - 1
    end = min(options.latents, num_inputs)
    yield _Window(start=0, end=end, num_latents=end, num_scored=end)
    while end < num_inputs:
        last, end = end, min(end + options.stride, num_inputs)
        yield _Window(
            start=max(0, end - options.context),
            end=end,
            num_latents=min(options.latents, end),
            num_scored=end - last,
        )


def _batches(windows: Iterator[_Window], context: int, most: int) -> Iterator[list[_Window]]:
    """Windows of one shape together; a shorter one is alone, so that nothing needs filling."""
    batch: list[_Window] = []
    for window in windows:
        if window.end - window.start < context:
            yield [window]
            continue
        batch.append(window)
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def score_piece(
    model: SequenceModel,
    sequence: Sequence[int] | npt.NDArray[np.integer],
    options: ScoringOptions,
    before_pass: Callable[[], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Nats of each token of a piece but its first.

    Args:
        model: in evaluation mode.
        sequence: the whole piece, `[length]`, BOS first.
        options: context, latents and stride.
        before_pass: called before each pass; what it raises ends the scoring.

    Returns:
        `[length - 1]`: minus the natural logarithm of the probability of tokens 1, 2, ...

    Raises:
        ValueError: there is nothing to score.
    """
    if len(sequence) < 2:
        raise ValueError("a piece to score has at least two tokens")
    device = next(model.parameters()).device
    tokens = torch.as_tensor(np.asarray(sequence, dtype=np.int64), device=device)
    nats = np.empty(len(sequence) - 1)
    tokens_per_pass = _TOKENS_PER_PASS if device.type == "cpu" else _TOKENS_PER_PASS_OF_A_GPU
    most = max(1, tokens_per_pass // options.context)
    for batch in _batches(_windows(len(sequence), options), options.context, most):
        if before_pass is not None:
            before_pass()
        scores = _score_batch(model, tokens, batch).cpu().numpy()
        for window, row in zip(batch, scores, strict=True):
            nats[window.end - window.num_scored : window.end] = row[-window.num_scored :]
    return nats


def _score_batch(model: SequenceModel, tokens: Tensor, batch: list[_Window]) -> Tensor:
    """Nats `[windows, latents]` of windows of one shape."""
    num_latents = batch[0].num_latents
    inputs = torch.stack([tokens[window.start : window.end] for window in batch])
    logits = model(inputs, num_latents=num_latents).float()
    targets = [tokens[window.end - num_latents + 1 : window.end + 1] for window in batch]
    return F.cross_entropy(logits.mT, torch.stack(targets), reduction="none")
