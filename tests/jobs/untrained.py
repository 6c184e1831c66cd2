"""A checkpoint of a model without training: its taste is random, everything else must hold."""

from __future__ import annotations

from pathlib import Path

import torch

from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.registry import build_from_preset
from perceiver_music.tokenizer import vocabulary as v

CONTEXT, LATENTS = 64, 16


def untrained_checkpoint(folder: Path, *, std: float) -> str:
    """Write one, and give its folder back.

    Args:
        folder: for the checkpoint.
        std: of the weights of its output; with 0 all events are as likely.
    """
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": CONTEXT, "latents": LATENTS}
    torch.manual_seed(0)
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    torch.nn.init.normal_(model.get_parameter("output.weight"), std=std)
    save_checkpoint(
        folder,
        model,
        name="random",
        tokenizer_name="maestro-performance-400",
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return str(folder)
