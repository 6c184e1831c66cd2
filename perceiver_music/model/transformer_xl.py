"""Transformer-XL (Dai et al. 2019, arXiv 1901.02860): segments with a memory of the one before.

A window is read in segments. Each layer attends to its own segment and to its inputs at the last
`memory` positions before it, through which no gradient flows; so every position costs a full depth
once, and sees, layer by layer, further back than it attends. Positions are rotary, which are
relative as the published ones are, and the blocks are those of the other models, so that a
comparison compares the plans.
"""

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
from perceiver_music.model.kv_cache import SegmentMemory


@dataclass(frozen=True, kw_only=True)
class TransformerXLConfig:
    """Everything that the shapes and the computation depend on.

    Attributes:
        vocabulary_size: number of token ids.
        context: window length in training, a whole number of segments; others work.
        segment: positions that are read together.
        memory: positions before a segment that its layers attend to.
        num_layers: depth.
        block: shape and flavour of all blocks.
        logit_soft_cap: logits pass through cap * tanh(logits / cap); None for none.
    """

    vocabulary_size: int
    context: int = 2048
    segment: int = 512
    memory: int = 512
    num_layers: int = 7
    block: BlockConfig
    logit_soft_cap: float | None = 15.0

    def __post_init__(self) -> None:
        check_soft_cap(self.logit_soft_cap)
        if self.context < 2 or self.vocabulary_size < 1 or self.num_layers < 1:
            raise ValueError("context is 2 or more; vocabulary and layers 1 or more")
        if self.segment < 1 or self.memory < 0:
            raise ValueError("segment is 1 or more, memory 0 or more")

    @property
    def latents(self) -> int:
        """Positions scored per window in training: all of them."""
        return self.context

    @classmethod
    def modern(cls, *, width: int, num_heads: int, **fields: Any) -> TransformerXLConfig:
        """The same flavour of blocks as the Perceiver AR preset of this name."""
        block = BlockConfig(width=width, num_heads=num_heads, value_embeddings=True)
        return cls(block=block, **fields)


class TransformerXL(SequenceModel):
    """Scoring is `forward`; decoding with caches is `begin` and `advance`."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.config: TransformerXLConfig = config
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
        memories = self._new_memories()
        parts = [
            self._read_segment(tokens, start, memories, visible)
            for start in range(0, tokens.shape[1], self.config.segment)
        ]
        return self._logits(torch.cat(parts, dim=1)[:, -num_latents:])

    def _new_memories(self) -> list[SegmentMemory]:
        return [SegmentMemory(self.config.memory) for _ in self.layers]

    def _read_segment(
        self, tokens: Tensor, start: int, memories: list[SegmentMemory], visible: Tensor | None
    ) -> Tensor:
        """The outputs of the segment at `start`, which becomes the memory of the next."""
        segment = tokens[:, start : start + self.config.segment]
        stop = start + segment.shape[1]
        seen = None if visible is None else visible[:, start - memories[0].length : stop]
        mask = window_mask(segment.shape[1], seen)
        x = self._read(segment, start, memories, mask)
        for memory in memories:
            memory.end_segment()
        return x

    def _read(
        self, tokens: Tensor, start: int, memories: list[SegmentMemory], mask: Tensor | None
    ) -> Tensor:
        stop = start + tokens.shape[1]
        angles = self.rotary.angles(start, stop, self.embedding.weight.device)
        x = self.embedding_norm(self.embedding(tokens))
        for layer, memory in zip(self.layers, memories, strict=True):
            x = layer(x, tokens, angles, mask=mask, cache=memory)
        return x

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.output(self.final_norm(x)).float()
        cap = self.config.logit_soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _build(self, state: DecodeState) -> None:
        window = torch.tensor([state.tokens[state.context_start :]], device=self.device)
        state.memories = self._new_memories()
        length, segment = window.shape[1], self.config.segment
        whole = (length - 1) // segment * segment
        for start in range(0, whole, segment):
            self._read_segment(window, start, state.memories, None)
        x = self._read(window[:, whole:], whole, state.memories, None)
        state.logits = self._logits(x[0, -1])

    def _append(self, state: DecodeState, token: int) -> None:
        position = len(state.tokens) - 1 - state.origin
        if position % self.config.segment == 0:
            for memory in state.memories:
                memory.end_segment()
        tokens = torch.tensor([[token]], device=self.device)
        x = self._read(tokens, position, state.memories, None)
        state.logits = self._logits(x[0, -1])
