"""What is changed, one thing at a time, in a small run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch.nn.functional as F
from torch import Tensor, nn

from perceiver_music.model.perceiver_ar import PerceiverAR

Patch = Callable[[], AbstractContextManager[Any]]

_BLOCK = {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25}
_SHAPE = {"width": 256, "num_heads": 4, "num_layers": 6, "context": 1024, "latents": 512}


@dataclass(frozen=True)
class Variant:
    """One change.

    Attributes:
        question: what the table says it is about.
        settings: laid over those of the base.
        costs_the_same: a step computes what the base's does, so it gets as many.
        later: the step from which on it costs what another variant does; up to there the base.
        patched: what no setting can say, in place while it trains.
    """

    question: str
    settings: tuple[str, ...] = ()
    costs_the_same: bool = True
    later: tuple[int, str] | None = None
    patched: Patch = nullcontext


class _TiedOutput(nn.Module):
    """Logits from the embedding table itself; its vectors are of size sqrt(width)."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self._embedding = (embedding,)  # not as a part: saved states name every tensor once

    def forward(self, x: Tensor) -> Tensor:
        weight = self._embedding[0].weight
        return F.linear(x, weight) / weight.shape[1]


@contextmanager
def _tied_output() -> Iterator[None]:
    original = PerceiverAR.__init__

    def tied(self: PerceiverAR, *arguments: Any) -> None:
        original(self, *arguments)
        self.output = _TiedOutput(self.embedding)  # type: ignore[assignment]

    with patch.object(PerceiverAR, "__init__", tied):
        yield


def _activation(function: Callable[[Tensor], Tensor]) -> Patch:
    return lambda: patch("perceiver_music.model.attention.squared_relu", function)


def _toml(values: dict[str, Any]) -> str:
    def one(value: Any) -> str:
        if isinstance(value, dict):
            return _toml(value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return "{" + ", ".join(f"{key} = {one(value)}" for key, value in values.items()) + "}"


def _model(block: dict[str, Any] | None = None, **fields: Any) -> str:
    return f"model.settings={_toml({**_SHAPE, **fields, 'block': {**_BLOCK, **(block or {})}})}"


def _windows(latents: int, contexts: str, windows: int) -> tuple[str, ...]:
    return (
        f"windows.latents={latents}",
        f"windows.contexts={contexts}",
        f"windows.windows_per_step={windows}",
        f"run.windows_per_pass={windows}",
    )


BASE = (
    "model.counts_events=true",
    _model(),
    *_windows(512, "[[0, 1024]]", 8),
    "windows.infill_share=0.0",
    "optimizer.weight_decay=0.0",
    "schedule.decay_share=0.6",
    "schedule.final_share=0.0",
    "run.ema_decay=0.0",
    "run.validate_every=100000",
    "run.checkpoint_every=100",
    "run.log_every=50",
)


def _dearer(question: str, *settings: str, patched: Patch = nullcontext) -> Variant:
    return Variant(question, settings, costs_the_same=False, patched=patched)


VARIANTS: dict[str, Variant] = {
    "base": Variant("base"),
    "matrix rate 0.01": Variant("rates", ("optimizer.matrix_rate=0.01",)),
    "matrix rate 0.04": Variant("rates", ("optimizer.matrix_rate=0.04",)),
    "embedding rate 0.03": Variant("rates", ("optimizer.embedding_rate=0.03",)),
    "embedding rate 0.3": Variant("rates", ("optimizer.embedding_rate=0.3",)),
    "output rate 0.003": Variant("rates", ("optimizer.output_rate=0.003",)),
    "output rate 0.02": Variant("rates", ("optimizer.output_rate=0.02",)),
    "AdamW, matrices 0.001": _dearer(
        "optimizer", "optimizer.kind=adamw", "optimizer.matrix_rate=0.001"
    ),
    "AdamW, matrices 0.003": _dearer(
        "optimizer", "optimizer.kind=adamw", "optimizer.matrix_rate=0.003"
    ),
    "3 layers of width 352": _dearer("shape", _model(width=352, num_heads=4, num_layers=3)),
    "10 layers of width 192": _dearer("shape", _model(width=192, num_heads=3, num_layers=10)),
    "2 heads": _dearer("shape", _model(num_heads=2)),
    "8 heads": _dearer("shape", _model(num_heads=8)),
    "N 256": _dearer("windows", _model(latents=256), *_windows(256, "[[0, 1024]]", 16)),
    "N 1,024, C 2,048": _dearer(
        "windows",
        _model(latents=1024, context=2048),
        *_windows(1024, "[[0, 2048]]", 4),
    ),
    "C 2,048": _dearer("windows", _model(context=2048), *_windows(512, "[[0, 2048]]", 8)),
    "C 4,096": _dearer("windows", _model(context=4096), *_windows(512, "[[0, 4096]]", 8)),
    "C 1,024, then 2,048": Variant(
        "windows",
        (_model(context=2048), *_windows(512, "[[0, 1024], [200, 2048]]", 8)),
        costs_the_same=False,
        later=(200, "C 2,048"),
    ),
    "4 windows a step": _dearer("batch", *_windows(512, "[[0, 1024]]", 4)),
    "16 windows a step": _dearer("batch", *_windows(512, "[[0, 1024]]", 16)),
    "turned by number alone, 0.25": Variant("rotary", (_model({"time_rotary_fraction": 0.0}),)),
    "turned by number alone, 0.5": Variant(
        "rotary", (_model({"rotary_fraction": 0.5, "time_rotary_fraction": 0.0}),)
    ),
    "turned by number alone, all": Variant(
        "rotary", (_model({"rotary_fraction": 1.0, "time_rotary_fraction": 0.0}),)
    ),
    "longest wave 1,024": Variant("rotary", (_model({"rotary_max_wavelength": 1024.0}),)),
    "longest wave 65,536": Variant("rotary", (_model({"rotary_max_wavelength": 65536.0}),)),
    "no norm of queries and keys": _dearer("network", _model({"qk_norm": False})),
    "no value embeddings": _dearer("network", _model({"value_embeddings": False})),
    "no previous token": _dearer("network", _model(previous_token=False)),
    "no soft cap": Variant("network", (_model(logit_soft_cap=10000.0),)),
    "no counted events": _dearer(
        "network",
        "model.counts_events=false",
        f"model.settings={_toml({**_SHAPE, 'block': {'rotary_fraction': 0.5}})}",
    ),
    "neighbour keys": _dearer("network", _model(neighbour_keys=True)),
    "GELU": Variant("network", patched=_activation(F.gelu)),
    "ReLU": Variant("network", patched=_activation(F.relu)),
    "tied output": Variant("network", patched=_tied_output),
    "dropout 0.1": _dearer("regularization", _model({"dropout": 0.1})),
    "weight decay 0.1": Variant("regularization", ("optimizer.weight_decay=0.1",)),
    "prefix dropout 0.3": Variant("regularization", ("windows.prefix_dropout=0.3",)),
    "prefix dropout 0.7": Variant("regularization", ("windows.prefix_dropout=0.7",)),
    "averaged weights, 0.98": Variant("schedule", ("run.ema_decay=0.98",)),
    "no decay": Variant("schedule", ("schedule.decay_share=0.0",)),
    "decay over 0.3": Variant("schedule", ("schedule.decay_share=0.3",)),
    "decay over all": Variant("schedule", ("schedule.decay_share=1.0",)),
    "decay to 0.1": Variant("schedule", ("schedule.final_share=0.1",)),
    "cosine": Variant("schedule", ("schedule.decay=cosine", "schedule.decay_share=1.0")),
    "keys up to 5 away": Variant("variants of pieces", ("windows.augmentation.transpose=5",)),
    "touch up to 2 away": Variant("variants of pieces", ("windows.augmentation.velocity_shift=2",)),
    "tempo up to 5 per cent away": Variant(
        "variants of pieces", ("windows.augmentation.stretch=[0.95, 0.975, 1.0, 1.025, 1.05]",)
    ),
    "a fifth of the windows gaps": Variant(
        "gaps", (_model(gap_embeddings=True), "windows.infill_share=0.2")
    ),
    "two fifths of the windows gaps": Variant(
        "gaps", (_model(gap_embeddings=True), "windows.infill_share=0.4")
    ),
}
