"""The models, the primer and the ways of decoding that are timed."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.sampling import choose, variation_rng
from perceiver_music.model.base import Anchor, SequenceModel
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.native.decoder import NativeDecoder
from perceiver_music.model.packed_linear import pack_linears
from perceiver_music.model.registry import build_from_preset, config_as_dict
from perceiver_music.tokenizer import vocabulary as v

SIZES = {
    "5M": {"width": 256, "num_heads": 4, "num_layers": 5},
    "20M": {"width": 512, "num_heads": 8, "num_layers": 5},
}
VELOCITY_BIN = 16
SAMPLING = SamplingOptions()


def primer(num_events: int, seed: int = 0) -> list[int]:
    """Events that the grammar allows; what they sound like does not change the work."""
    rng, grammar, tokens = np.random.default_rng(seed), Grammar(), [v.BOS]
    while len(tokens) < num_events:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.take(token)
        tokens.append(token)
    return tokens


def build(size: str, *, context: int = 4096, latents: int = 512) -> SequenceModel:
    """A model of that size with random weights, or the bundled checkpoint."""
    if size == "bundled":
        return load_checkpoint(resolve_checkpoint(None)).model
    fields = {**SIZES[size], "context": context, "latents": latents}
    torch.manual_seed(0)
    fields["vocabulary_size"] = v.VOCABULARY_SIZE
    model = build_from_preset("perceiver_ar", "modern", fields)
    for parameter in model.parameters():
        if not parameter.any():  # a fresh model's branches are zeros
            torch.nn.init.normal_(parameter, std=0.02)
    return model.to(torch.bfloat16).to(torch.float32).eval().requires_grad_(False)


def packed(model: SequenceModel) -> SequenceModel:
    """The same network as `load_decoder` has it decode in torch on the processor."""
    model = copy.deepcopy(model)
    pack_linears(model)
    return model


def native(model: SequenceModel, precision: Any) -> NativeDecoder:
    """The same network in the native library, its weights in bf16 as a checkpoint has them."""
    state = model.state_dict().items()
    bits = {name: tensor.bfloat16().view(torch.int16).numpy() for name, tensor in state}
    tensors = {name: array.view(np.uint16) for name, array in bits.items()}
    return NativeDecoder(config_as_dict(model), tensors, precision=precision)


@dataclass(frozen=True)
class Timing:
    """CPU seconds: until the first prediction, of all events after it, and of the slowest."""

    first: float
    rest: float
    longest: float
    num_events: int

    @property
    def events_per_second(self) -> float:
        """Without the reading of the primer."""
        return self.num_events / self.rest


class Voices:
    """Sampling for several decodes at once: all that a real continuation does beside the model."""

    def __init__(self, count: int) -> None:
        self.grammars = [Grammar(velocity_bin=VELOCITY_BIN) for _ in range(count)]
        self.rngs = [variation_rng(1, i) for i in range(count)]

    def draw(self, logits: Sequence[Any]) -> list[int]:
        """An event for each."""
        tokens = []
        for grammar, rng, row in zip(self.grammars, self.rngs, logits, strict=True):
            token = choose(np.asarray(row), grammar.allowed(), SAMPLING, rng)
            grammar.take(token)
            tokens.append(token)
        return tokens


def cached(decoder: Any, tokens: list[int], num_steps: int, batch: int = 1) -> Timing:
    """A decode with caches, of `batch` voices side by side."""
    voices = Voices(batch)
    started = time.process_time()
    states = decoder.begin_many([tokens] * batch)
    first, longest = time.process_time() - started, 0.0
    before = begun = time.process_time()
    for _ in range(num_steps):
        decoder.advance_many(states, voices.draw([state.logits for state in states]))
        now = time.process_time()
        longest, before = max(longest, now - before), now
    return Timing(first, time.process_time() - begun, longest, num_steps * batch)


@torch.inference_mode()
def uncached(model: SequenceModel, tokens: list[int], num_steps: int) -> Timing:
    """A whole forward pass an event: the definition that the caches must equal."""
    voices, tokens = Voices(1), list(tokens)
    started, longest = time.process_time(), 0.0
    for _ in range(num_steps):
        begun = time.process_time()
        anchor = Anchor.at(len(tokens), context=model.context, latents=model.latents)
        window = torch.tensor([tokens[anchor.context_start :]])
        logits = model(window, num_latents=anchor.num_latents)[0, -1]
        tokens += voices.draw([logits])
        longest = max(longest, time.process_time() - begun)
    return Timing(0.0, time.process_time() - started, longest, num_steps)


Contender = Callable[[], Timing]
