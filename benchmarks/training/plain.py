"""What each means of making a training step cheaper gains, from a plain version on, all in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.decoding.contenders import primer
from benchmarks.provenance import torch_made_with
from perceiver_music.model import table_attention
from perceiver_music.model.cross_block import ContextTable, CrossBlock
from perceiver_music.tokenizer.registry import get_tokenizer
from perceiver_music.training.memory import keep_freed_memory
from perceiver_music.training.network import fresh_network
from perceiver_music.training.optimizer import Optimizers
from perceiver_music.training.recipes import load_recipe

RESULTS = Path(__file__).with_name("plain.json")
CONTEXTS = (1024, 8192)
WINDOWS, LATENTS = 2, 512
EPSILON = 1e-6

Patch = Callable[[], AbstractContextManager[Any]]


def _norm(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    mean_square = x.float().square().mean(-1, keepdim=True)
    return (x * (mean_square + EPSILON).rsqrt()).to(dtype or x.dtype)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), dim=-1)


def _normed_embeddings(self: CrossBlock, embeddings: Tensor) -> ContextTable:
    normed = self.context_norm(embeddings)
    return ContextTable(normed, normed)


def _projected_keys(
    self: CrossBlock,
    table: ContextTable,
    ids: Tensor,
    angles: tuple[Tensor, Tensor],
    neighbours: Tensor | None = None,
) -> Tensor:
    key = self.attention.key(F.embedding(ids, table.keys))
    if self.neighbours is not None:
        assert neighbours is not None
        rows = self.neighbours.rows(neighbours)
        key = key + F.embedding(rows, self.neighbours.weight).sum(-2).to(key.dtype)
    return self.attention.rotate_heads(key, angles)


def _projected_values(self: CrossBlock, table: ContextTable, ids: Tensor) -> Tensor:
    return self.attention.split_heads(self.attention.value(F.embedding(ids, table.values)))


# What is plain of a version, one name a means; a step of the last of them all is the product's.
MEANS: dict[str, tuple[Patch, ...]] = {
    "bf16": (),
    "keys and values by table": (
        lambda: patch.object(CrossBlock, "context_table", _normed_embeddings),
        lambda: patch.object(CrossBlock, "keys", _projected_keys),
        lambda: patch.object(CrossBlock, "values", _projected_values),
    ),
    "derivatives written out": (
        lambda: patch("perceiver_music.model.attention.squared_relu", lambda x: F.relu(x) ** 2),
        lambda: patch("perceiver_music.model.elementwise.rms_normalize", _norm),
        lambda: patch("perceiver_music.model.rotary.turn", _turn),
        lambda: patch(
            "perceiver_music.model.rotary.normalize_and_turn",
            lambda x, cos, sin: _turn(_norm(x), cos, sin),
        ),
    ),
    "attention by the library": (
        lambda: patch.object(table_attention, "is_possible", return_value=False),
    ),
}


class Version:
    """The network of the recipe `maestro` and its optimizer, with the first `count` means."""

    def __init__(self, count: int) -> None:
        recipe = load_recipe("maestro", ())
        torch.manual_seed(0)
        self._model = fresh_network(recipe.model, get_tokenizer("maestro-performance-400"))
        self._optimizers = Optimizers(self._model, recipe.optimizer)
        self._is_bf16 = count > 0
        self._patches = [one for name in list(MEANS)[count:] for one in MEANS[name]]

    def step(self, tokens: Tensor) -> float:
        """Processor time of forward, backward and update."""
        started = time.process_time()
        with ExitStack() as stack:
            for each in self._patches:
                stack.enter_context(each())
            with torch.autocast("cpu", torch.bfloat16, enabled=self._is_bf16):
                logits = self._model(tokens[:, :-1], num_latents=LATENTS)
            loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, -LATENTS:].flatten())
            torch.autograd.backward(loss)
        self._optimizers.step(1.0)
        self._optimizers.zero_grad()
        return time.process_time() - started


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as `train` does
    names = ["plain", *MEANS]
    versions = [Version(count) for count in range(len(names))]
    piece = primer(max(CONTEXTS) + 1)
    found: dict[str, Any] = {}
    for context in CONTEXTS:
        tokens = torch.tensor([piece[-context - 1 :]] * WINDOWS)
        seconds: list[list[float]] = [[] for _ in versions]
        for number in range(arguments.rounds + 1):
            for kept, version in zip(seconds, versions, strict=True):
                taken = version.step(tokens)
                if number:  # the first one finds caches and memory
                    kept.append(taken)
        rates = [WINDOWS * LATENTS / statistics.median(kept) for kept in seconds]
        found[str(context)] = {
            name: {
                "loss_tokens_per_second": round(rate, 1),
                "over_plain": round(rate / rates[0], 2),
            }
            for name, rate in zip(names, rates, strict=True)
        }
        print(context, json.dumps(found[str(context)]), flush=True)
    result = {
        "seconds_are": "processor time of one thread, medians, all in turn",
        "windows_a_step": WINDOWS,
        "latents": LATENTS,
        "rounds": arguments.rounds,
        "each_with_those_before_it": found,
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
