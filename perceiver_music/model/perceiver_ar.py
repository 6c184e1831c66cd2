"""Perceiver AR (Hawthorne et al. 2022, arXiv 2202.07765): long context, short stack.

The last N positions of a window, the *latents*, attend once to all C tokens up to and including
their own; a causal stack then works on the latents alone. The context enters as token embeddings
under one norm, with rotary positions only, so its keys and values are a table of the vocabulary:
computed once per call for all ids and looked up, which is exact and costs nothing that grows with
the width times the context.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.attention import (
    CausalBlock,
    make_linear,
    make_norm,
    window_mask,
)
from perceiver_music.model.base import DecodeState, SequenceModel, check_window
from perceiver_music.model.cross_block import ContextTable, CrossBlock
from perceiver_music.model.event_state import (
    EventReader,
    EventState,
    EventTracker,
    event_state,
    state_of_numbers,
)
from perceiver_music.model.kv_cache import CacheRows, KeyValueCache
from perceiver_music.model.neighbours import NeighbourTable
from perceiver_music.model.perceiver_ar_config import PerceiverARConfig
from perceiver_music.model.static_decoding import StaticRows, StaticRowsPool


class PerceiverAR(SequenceModel):
    """The network. Scoring is `forward`; decoding with caches is `begin` and `advance`."""

    _is_static: bool | None = None
    """Whether decodes go through `static_decoding`; None: on CUDA."""

    def __init__(self, config: PerceiverARConfig) -> None:
        super().__init__()
        self.config: PerceiverARConfig = config
        self.context, self.latents = config.context, config.latents
        self._pool = StaticRowsPool()
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
        of_latents = None if visible is None else visible[:, first_latent:]
        stack_mask = window_mask(num_latents, of_latents)
        events = self._count(tokens, num_latents, visible)
        angles = self._angles(0, tokens.shape[1], events)
        table = self._context_table()
        key, ids = self._context(table, tokens, angles, events)
        latent_angles = _last(angles, num_latents)
        x = self._latent_inputs(tokens, num_latents, visible, events)
        x = self.cross.forward_at_once(x, key, ids, table, latent_angles, visible)
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
        """Rotated keys, and which rows of the table are the values: `[batch, length]`."""
        neighbours = None if events is None else events.neighbours
        if self.after_gap is not None and events is not None:
            tokens = tokens + self.vocabulary_size * events.is_after_gap
        return self.cross.keys(table, tokens, angles, neighbours), tokens

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
        if self.previous is not None and visible is None and tokens.shape[1] > num_latents:
            x = x + self.previous(tokens[:, -num_latents - 1 : -1])
        elif self.previous is not None:
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
        table = self._context_table()
        if self.embedding.weight.is_cuda if self._is_static is None else self._is_static:
            rows = (block, len(self.layers), self.config.events)
            self._pool.restart(state, table, *rows, like=self.embedding.weight)
            return
        room = state.latents - state.num_latents
        most_context = state.context if state.slides else num_context + room
        like = self.embedding.weight
        shape = block.num_heads, state.latents, block.head_width
        state.caches = [KeyValueCache.of_ids(block.num_heads, most_context, shape[2], like=like)]
        state.caches += [KeyValueCache(*shape, like=like) for _ in self.layers]
        state.table = table

    def _build(self, state: DecodeState) -> None:
        window = state.tokens[state.context_start :]
        self._new_caches(state, len(window))
        tokens = torch.tensor([window], device=self.device)
        if self.config.events is not None:
            # One number after the other: on the processor, if all the rest is to be elsewhere.
            seen = tokens if state.row is None else torch.tensor([window])
            state.tracker = EventTracker(seen, self.config.events)
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
        device = self.embedding.weight.device
        tokens = torch.tensor([new], device=device)
        start = state.caches[0].position
        angles = self._angles(start, start + len(new), events)
        # The first latent of a window needs its predecessor, which may lie before `new`.
        before = state.tokens[max(state.context_start, len(state.tokens) - num_latents - 1) :]
        x = self._latent_inputs(torch.tensor([before], device=device), num_latents, None, events)
        assert state.table is not None
        x = self._through(x, tokens, angles, events, state.table, state.caches)
        state.logits = self._logits(x, events)[0, -1]

    def _through(
        self,
        x: Tensor,
        tokens: Tensor,
        angles: tuple[Tensor, Tensor],
        events: EventState | None,
        table: ContextTable,
        caches: Sequence[KeyValueCache] | Sequence[CacheRows],
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> Tensor:
        """Latents `x`, the last of the new `tokens`, after all blocks; caches take what is new."""
        key, ids = self._context(table, tokens, angles, events)
        num_latents = x.shape[1]
        angles = _last(angles, num_latents)
        context = caches[0]
        if isinstance(context, KeyValueCache) and context.holds_ids:
            key, held = context.append(key, ids[:, None, :, None])
            x = self.cross.forward_by_id(x, key, held[:, 0, :, 0], table, angles)
        else:
            key, value = context.append(key, self.cross.values(table, ids))
            x = self.cross(x, key, value, angles, masks[0])
        for layer, cache in zip(self.layers, caches[1:], strict=True):
            x = layer(x, tokens[:, -num_latents:], angles, mask=masks[1], cache=cache)
        return x

    def _append_many(self, states: Sequence[DecodeState]) -> None:
        super()._append_many([state for state in states if state.row is None])
        self._pool.advance([state for state in states if state.row is not None], self._append_rows)

    def _append_rows(self, rows: StaticRows) -> Float[Tensor, "rows vocabulary"]:
        """What `_append` does, for all rows at once."""
        events, number, time = None, rows.position, rows.position
        if self.config.events is not None:
            events = state_of_numbers(rows.events)
            number, time = events.number, events.time
        angles = self.cross.attention.rotary.angles_at(number, time)
        x = self._latent_inputs(rows.tokens, 1, None, events)
        new = rows.tokens[:, 1:]
        x = self._through(x, new, angles, events, rows.table, rows.caches, rows.masks())
        return self._logits(x, events)[:, -1]


def _last(angles: tuple[Tensor, Tensor], size: int) -> tuple[Tensor, Tensor]:
    # Their own memory: what is compiled for the layers then fits contexts of every length.
    cos, sin = (part[..., -size:, :].contiguous() for part in angles)
    return cos, sin
