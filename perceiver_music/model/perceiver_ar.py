"""Perceiver AR (Hawthorne et al. 2022, arXiv 2202.07765): long context, short stack.

The last N positions of a window, the *latents*, attend once to all C tokens up to and including
their own; a causal stack then works on the latents alone. The context enters as token embeddings
under one norm, with rotary positions only, so its keys and values are a table of the vocabulary:
computed once per call for all ids and looked up, which is exact and costs nothing that grows with
the width times the context.

Two presets: `paper` is the published network; `modern` keeps its plan and changes what trains
faster (norms, queries and keys, initialisation, no biases).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.attention import (
    BlockConfig,
    CausalBlock,
    attention_mask,
    make_linear,
    make_norm,
)
from perceiver_music.model.base import DecodeState, SequenceModel, check_window
from perceiver_music.model.cross_block import ContextTable, CrossBlock
from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.event_state import EventReader, EventState, EventTracker, event_state
from perceiver_music.model.kv_cache import KeyValueCache
from perceiver_music.model.neighbours import NeighbourTable


@dataclass(frozen=True, kw_only=True)
class PerceiverARConfig:
    """Everything that the shapes and the computation depend on.

    Attributes:
        vocabulary_size: number of token ids.
        context: C, window length in training; rotary positions allow others.
        latents: N, positions scored per window in training; others work.
        num_layers: depth of the stack over the latents, the cross-attention not counted.
        block: shape and flavour of all blocks.
        query_projection: a linear layer on the latents' embeddings before the cross-attention.
        previous_token: each latent also gets an embedding of the token before it.
        logit_soft_cap: logits pass through cap * tanh(logits / cap); None for none.
        events: which ids are which events, for the counted state (`event_state`); None for a
            model that sees nothing but tokens.
        neighbour_keys: the context's keys know what stands before each token (`neighbours`).
        gap_embeddings: in the context what follows the gap of an infilling prompt has embeddings
            of its own, learned as a difference to the plain ones, so that it is not taken for past.
    """

    vocabulary_size: int
    context: int = 4096
    latents: int = 1024
    num_layers: int = 6
    block: BlockConfig
    query_projection: bool = False
    previous_token: bool = False
    logit_soft_cap: float | None = 15.0
    events: EventLayout | None = None
    neighbour_keys: bool = False
    gap_embeddings: bool = False

    def __post_init__(self) -> None:
        of_events = (self.block.time_rotary_fraction, self.neighbour_keys, self.gap_embeddings)
        if self.events is None and any(of_events):
            raise ValueError(
                "time_rotary_fraction, neighbour_keys and gap_embeddings are of events: count them"
            )
        if not 2 <= self.latents <= self.context:
            raise ValueError(f"latents ({self.latents}) go from 2 to context ({self.context})")
        if self.vocabulary_size < 1 or self.num_layers < 1:
            raise ValueError("a model has at least one token id and one layer")

    @classmethod
    def modern(cls, *, width: int, num_heads: int, **fields: Any) -> PerceiverARConfig:
        """The preset `modern`."""
        return cls(
            block=BlockConfig(width=width, num_heads=num_heads, value_embeddings=True),
            previous_token=True,
            **fields,
        )

    @classmethod
    def paper(cls, *, width: int, num_heads: int, **fields: Any) -> PerceiverARConfig:
        """The preset `paper`; its slowest rotary wavelength is the context length."""
        config = cls(
            block=BlockConfig(width=width, num_heads=num_heads),
            query_projection=True,
            logit_soft_cap=None,
            **fields,
        )
        block = BlockConfig(
            width=width,
            num_heads=num_heads,
            norm="layer",
            qk_norm=False,
            bias=True,
            zero_init_branches=False,
            rotary_fraction=0.25,
            rotary_max_wavelength=float(config.context),
            dropout=0.1,
        )
        return replace(config, block=block)


class PerceiverAR(SequenceModel):
    """The network. Scoring is `forward`; decoding with caches is `begin` and `advance`."""

    def __init__(self, config: PerceiverARConfig) -> None:
        super().__init__()
        self.config: PerceiverARConfig = config
        self.context, self.latents = config.context, config.latents
        self.vocabulary_size = config.vocabulary_size
        width = config.block.width
        self.embedding = nn.Embedding(config.vocabulary_size, width)
        self.previous = None
        if config.previous_token:
            self.previous = nn.Embedding(config.vocabulary_size, width)
            nn.init.zeros_(self.previous.weight)
        self.after_gap = None
        if config.gap_embeddings:
            self.after_gap = nn.Embedding(config.vocabulary_size, width)
            nn.init.zeros_(self.after_gap.weight)
        self.embedding_norm: nn.Module = nn.Identity()
        self.query_projection = None
        if config.block.norm == "rms":
            # Without a scale of their own, embeddings enter the residual stream at unit size.
            self.embedding_norm = make_norm(config.block, before_product=False)
        if config.query_projection:
            self.query_projection = make_linear(width, width, bias=config.block.bias)
        neighbours = None
        if config.neighbour_keys and config.events is not None:
            neighbours = NeighbourTable(config.events, config.vocabulary_size, width)
        self.cross = CrossBlock(config.block, neighbours)
        self.layers = nn.ModuleList(
            CausalBlock(config.block, config.vocabulary_size) for _ in range(config.num_layers)
        )
        self.event_reader = None
        if config.events is not None:
            self.event_reader = EventReader(config.events, width)
        self.final_norm = make_norm(config.block)
        self.output = nn.Linear(width, config.vocabulary_size, bias=config.block.bias)
        # Zero weights make the first loss exactly ln(vocabulary).
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
        """See `SequenceModel.forward`."""
        check_window(tokens, num_latents)
        first_latent = tokens.shape[1] - num_latents
        cross_mask = stack_mask = None
        if visible is not None:
            cross_mask = attention_mask(num_latents, visible)
            stack_mask = cross_mask[..., first_latent:].contiguous()
        events = self._count(tokens, num_latents, visible)
        angles = self._angles(0, tokens.shape[1], events)
        key, value = self._context(self._context_table(), tokens, angles, events)
        latent_angles = _last(angles, num_latents)
        x = self._latent_inputs(tokens, num_latents, visible, events)
        x = self.cross(x, key, value, latent_angles, cross_mask)
        latent_tokens = tokens[:, first_latent:].contiguous()
        for layer in self.layers:
            x = layer(x, latent_tokens, latent_angles, mask=stack_mask)
        return self._logits(x, events)

    def _context_table(self) -> ContextTable:
        embeddings = self.embedding.weight
        if self.after_gap is not None:
            embeddings = torch.cat((embeddings, embeddings + self.after_gap.weight))
        return self.cross.context_table(self.embedding_norm(embeddings))

    def _context(
        self,
        table: ContextTable,
        tokens: Tensor,
        angles: tuple[Tensor, Tensor],
        events: EventState | None,
    ) -> tuple[Tensor, Tensor]:
        neighbours = None if events is None else events.neighbours
        if self.after_gap is not None and events is not None:
            tokens = tokens + self.vocabulary_size * events.is_after_gap
        return self.cross.lookup(table, tokens, angles, neighbours)

    def _count(
        self, tokens: Tensor, num_latents: int, visible: Tensor | None = None
    ) -> EventState | None:
        layout = self.config.events
        if layout is None:
            return None
        return event_state(tokens, layout, num_latents=num_latents, visible=visible)

    def _angles(self, start: int, stop: int, events: EventState | None) -> tuple[Tensor, Tensor]:
        rotary = self.cross.attention.rotary
        if events is not None:
            return rotary.angles_at(events.number, events.time)
        return rotary.angles(start, stop, self.embedding.weight.device)

    def _latent_inputs(
        self,
        tokens: Tensor,
        num_latents: int,
        visible: Tensor | None,
        events: EventState | None,
    ) -> Tensor:
        x = self.embedding_norm(self.embedding(tokens[:, -num_latents:]))
        if self.previous is not None:
            before = F.pad(tokens, (1, 0))[:, -num_latents - 1 : -1]
            seen = torch.ones_like(tokens, dtype=torch.bool) if visible is None else visible
            seen = F.pad(seen, (1, 0), value=False)[:, -num_latents - 1 : -1]
            x = x + self.previous(before) * seen[..., None]
        if self.event_reader is not None and events is not None:
            x = x + self.event_reader.inputs(events)
        return x if self.query_projection is None else self.query_projection(x)

    def _logits(self, x: Tensor, events: EventState | None) -> Tensor:
        x = self.final_norm(x)
        logits = self.output(x).float()
        if self.event_reader is not None and events is not None:
            logits = self.event_reader.add_prospects(logits, x, events)
        cap = self.config.logit_soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _new_caches(self, state: DecodeState, num_context: int) -> None:
        block = self.config.block
        room = state.latents - state.num_latents
        most_context = state.context if state.slides else num_context + room
        sizes = [most_context] + [state.latents] * len(self.layers)
        state.caches = [
            KeyValueCache(block.num_heads, size, block.head_width, like=self.output.weight)
            for size in sizes
        ]
        state.table = self._context_table()

    def _build(self, state: DecodeState) -> None:
        window = state.tokens[state.context_start :]
        self._new_caches(state, len(window))
        tokens = torch.tensor([window], device=self.device)
        if self.config.events is not None:
            state.tracker = EventTracker(tokens, self.config.events)
        self._extend(state, window, self._count(tokens, state.num_latents), state.num_latents)

    def _append(self, state: DecodeState, token: int) -> None:
        events = None
        if state.tracker is not None:
            state.tracker.advance(token)
            events = state.tracker.state()
        self._extend(state, [token], events, 1)

    def _extend(
        self, state: DecodeState, new: Sequence[int], events: EventState | None, num_latents: int
    ) -> None:
        """Add `new` tokens to the context and the last `num_latents` of them to the stack."""
        cross_cache, *layer_caches = state.caches
        device = self.output.weight.device
        tokens = torch.tensor([new], device=device)
        start = cross_cache.position
        angles = self._angles(start, start + len(new), events)
        assert state.table is not None
        key, value = self._context(state.table, tokens, angles, events)
        key, value = cross_cache.append(key, value)
        latent_angles = _last(angles, num_latents)
        # The first latent of a window needs its predecessor, which may lie before `new`.
        before = state.tokens[max(state.context_start, len(state.tokens) - num_latents - 1) :]
        x = self._latent_inputs(torch.tensor([before], device=device), num_latents, None, events)
        x = self.cross(x, key, value, latent_angles, None)
        latent_tokens = tokens[:, -num_latents:]
        for layer, cache in zip(self.layers, layer_caches, strict=True):
            x = layer(x, latent_tokens, latent_angles, cache=cache)
        state.logits = self._logits(x, events)[0, -1]


def _last(angles: tuple[Tensor, Tensor], size: int) -> tuple[Tensor, Tensor]:
    # Their own memory: what is compiled for the layers then fits contexts of every length.
    cos, sin = (part[..., -size:, :].contiguous() for part in angles)
    return cos, sin
