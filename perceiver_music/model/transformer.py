"""The baseline: a decoder-only Transformer with the same blocks, every position at full depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.attention import (
    BlockConfig,
    CausalBlock,
    check_soft_cap,
    make_norm,
    make_rotary,
    window_mask,
)
from perceiver_music.model.base import DecodeState, SequenceModel, check_window
from perceiver_music.model.kv_cache import KeyValueCache


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Everything that the shapes and the computation depend on.

    Attributes:
        vocabulary_size: number of token ids.
        context: window length in training; rotary positions allow others.
        num_layers: depth.
        block: shape and flavour of all blocks.
        logit_soft_cap: logits pass through cap * tanh(logits / cap); None for none.
    """

    vocabulary_size: int
    context: int = 1024
    num_layers: int = 7
    block: BlockConfig
    logit_soft_cap: float | None = 15.0

    def __post_init__(self) -> None:
        check_soft_cap(self.logit_soft_cap)
        if self.context < 2 or self.vocabulary_size < 1 or self.num_layers < 1:
            raise ValueError("context is 2 or more; vocabulary and layers 1 or more")

    @property
    def latents(self) -> int:
        """Positions scored per window in training: all of them."""
        return self.context

    @classmethod
    def modern(cls, *, width: int, num_heads: int, **fields: Any) -> TransformerConfig:
        """The same flavour of blocks as the Perceiver AR preset of this name."""
        block = BlockConfig(width=width, num_heads=num_heads, value_embeddings=True)
        return cls(block=block, **fields)


class Transformer(SequenceModel):
    """Scoring is `forward`; decoding with caches is `begin` and `advance`."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config: TransformerConfig = config
        self.context, self.latents = config.context, config.latents
        self.vocabulary_size = config.vocabulary_size
        self.embedding = nn.Embedding(config.vocabulary_size, config.block.width)
        self.embedding_norm = make_norm(config.block, before_product=False)
        self.layers = nn.ModuleList(
            CausalBlock(config.block, config.vocabulary_size) for _ in range(config.num_layers)
        )
        self.rotary = make_rotary(config.block)
        self.final_norm = make_norm(config.block)
        self.output = nn.Linear(config.block.width, config.vocabulary_size, bias=config.block.bias)
        nn.init.zeros_(self.output.weight)
        if self.output.bias is not None:
            nn.init.zeros_(self.output.bias)

    def forward(
        self,
        tokens: Int[Tensor, "batch context"],
        *,
        num_latents: int,
        visible: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch latents vocabulary"]:
        """See `SequenceModel.forward`; `num_latents` only chooses which positions to score."""
        check_window(tokens, num_latents)
        mask = window_mask(tokens.shape[1], visible)
        angles = self._angles(0, tokens.shape[1])
        x = self.embedding_norm(self.embedding(tokens))
        for layer in self.layers:
            x = layer(x, tokens, angles, mask=mask)
        return self._logits(x[:, -num_latents:])

    def _angles(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return self.rotary.angles(start, stop, self.embedding.weight.device)

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.output(self.final_norm(x)).float()
        cap = self.config.logit_soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _build(self, state: DecodeState) -> None:
        block = self.config.block
        window = state.tokens[state.context_start :]
        capacity = len(window) + state.latents - state.num_latents
        capacity = state.context if state.slides else capacity
        state.caches = [
            KeyValueCache(block.num_heads, capacity, block.head_width, like=self.embedding.weight)
            for _ in self.layers
        ]
        self._extend(state, window)

    def _append(self, state: DecodeState, token: int) -> None:
        self._extend(state, [token])

    def _extend(self, state: DecodeState, new: list[int]) -> None:
        start = state.caches[0].position
        tokens = torch.tensor([new], device=self.embedding.weight.device)
        angles = self._angles(start, start + len(new))
        x = self.embedding_norm(self.embedding(tokens))
        for layer, cache in zip(self.layers, state.caches, strict=True):
            x = layer(x, tokens, angles, cache=cache)
        state.logits = self._logits(x[0, -1])
