"""The cross-attend: latents look at the whole context, whose keys and values come from a table."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model import table_attention
from perceiver_music.model.attention import (
    MLP,
    Attention,
    BlockConfig,
    make_norm,
    window_mask,
)
from perceiver_music.model.elementwise import Dropout
from perceiver_music.model.neighbours import NeighbourTable


@dataclass(frozen=True)
class ContextTable:
    """What a context's keys and values are made of.

    Attributes:
        keys: of every context id and then, if keys know their neighbours, of every neighbour; a
            position's are added up, then normed and rotated.
        values: of every context id.
    """

    keys: Float[Tensor, "rows width"]
    values: Float[Tensor, "ids width"]


class CrossBlock(nn.Module):
    """Latents attend to the whole context, then an MLP; both added to the latents.

    The context enters as its tokens alone, so its keys and values are rows of a table: nothing is
    computed for a position but the sum of a few rows.
    """

    def __init__(self, config: BlockConfig, neighbours: NeighbourTable | None = None) -> None:
        super().__init__()
        self.query_norm = make_norm(config)
        self.context_norm = make_norm(config)
        self.attention = Attention(config, is_of_itself=False)
        self.neighbours = neighbours
        self.mlp_norm = make_norm(config)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def context_table(self, embeddings: Float[Tensor, "ids width"]) -> ContextTable:
        """The table for these embeddings of all that a context is made of."""
        normed = self.context_norm(embeddings)
        keys, values = self.attention.key(normed), self.attention.value(normed)
        if self.neighbours is not None:
            keys = torch.cat((keys.float(), self.neighbours.weight))
        return ContextTable(keys, values)

    def keys(
        self,
        table: ContextTable,
        ids: Int[Tensor, "batch length"],
        angles: tuple[Tensor, Tensor],
        neighbours: Int[Tensor, "batch length 3"] | None = None,
    ) -> Float[Tensor, "batch heads length head_width"]:
        """Rotated keys of `ids`."""
        if self.neighbours is None:
            key = F.embedding(ids, table.keys)
        else:
            assert neighbours is not None
            rows = self.neighbours.rows(neighbours) + len(table.values)
            bags = torch.cat((ids[None], rows.movedim(-1, 0))).movedim(0, -1).flatten(0, 1)
            key = F.embedding_bag(bags, table.keys, mode="sum").unflatten(0, ids.shape)
        return self.attention.rotate_heads(key.to(table.values.dtype), angles)

    def values(
        self, table: ContextTable, ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch heads length head_width"]:
        """Values of `ids`."""
        return self.attention.split_heads(F.embedding(ids, table.values))

    def forward(
        self,
        x: Float[Tensor, "batch latents width"],
        key: Float[Tensor, "batch heads context head_width"],
        value: Float[Tensor, "batch heads context head_width"],
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Float[Tensor, "batch latents width"]:
        """The latents, changed."""
        return self._changed(x, self.attention.mix(self._queries(x, angles), key, value, mask))

    def forward_at_once(
        self,
        x: Float[Tensor, "batch latents width"],
        key: Float[Tensor, "batch heads context head_width"],
        ids: Int[Tensor, "batch context"],
        table: ContextTable,
        angles: tuple[Tensor, Tensor],
        visible: Bool[Tensor, "batch context"] | None,
    ) -> Float[Tensor, "batch latents width"]:
        """`forward` of the values of `ids`, for whole windows, by the faster of two ways."""
        query = self._queries(x, angles)
        if self.attention.config.qk_norm and table_attention.is_possible(query, key):
            values = self.attention.split_heads(table.values)
            mixed = table_attention.table_attention(query, key, ids, values, visible)
            return self._changed(x, self.attention.merge_heads(mixed))
        mask = window_mask(x.shape[1], visible)
        return self._changed(x, self.attention.mix(query, key, self.values(table, ids), mask))

    def forward_by_id(
        self,
        x: Float[Tensor, "1 latents width"],
        key: Float[Tensor, "1 heads context head_width"],
        ids: Int[Tensor, "1 context"],
        table: ContextTable,
        angles: tuple[Tensor, Tensor],
    ) -> Float[Tensor, "1 latents width"]:
        """`forward` of the values of `ids`.

        A single latent weighs every id once, not every position: of its values there are fewer.
        (On the processor: elsewhere the order of such a sum is left to chance.)
        """
        if x.shape[1] > 1 or not x.is_cpu:
            return self(x, key, self.values(table, ids), angles, None)
        query = self._queries(x, angles)[0]
        scores = torch.bmm(query, key[0].transpose(1, 2)).mul_(query.shape[-1] ** -0.5)
        weights = scores.softmax(-1)[:, 0]
        values = self.attention.split_heads(table.values)
        by_id = weights.new_zeros(len(values), values.shape[1])
        by_id.scatter_add_(1, ids.expand(len(values), -1), weights)
        mixed = torch.bmm(by_id[:, None], values)
        return self._changed(x, self.attention.merge_heads(mixed[None]))

    def _queries(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        return self.attention.rotate_heads(self.attention.query(self.query_norm(x)), angles)

    def _changed(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.dropout(mixed)
        return x + self.dropout(self.mlp(self.mlp_norm(x)))
