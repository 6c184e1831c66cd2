"""Keys and values of the positions seen so far, in memory taken once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Held = Float[Tensor, "1 heads length head_width"]


class KeyValueCache:
    """Grows along the length without copying what it holds.

    Args:
        num_heads: heads of the attention that it serves.
        capacity: the most positions it can hold.
        head_width: channels of one head.
        like: a tensor whose dtype and device it takes.
    """

    def __init__(self, num_heads: int, capacity: int, head_width: int, *, like: Tensor) -> None:
        shape = (1, num_heads, capacity, head_width)
        self._key = torch.empty(shape, dtype=like.dtype, device=like.device)
        self._value = torch.empty_like(self._key)
        self.length = 0

    def append(
        self,
        key: Float[Tensor, "1 heads new head_width"],
        value: Float[Tensor, "1 heads new head_width"],
    ) -> tuple[
        Float[Tensor, "1 heads length head_width"], Float[Tensor, "1 heads length head_width"]
    ]:
        """Add new positions; returns views of all keys and values held."""
        end = self.length + key.shape[2]
        assert end <= self._key.shape[2], "the caller re-anchors before the cache is full"
        self._key[:, :, self.length : end] = key
        self._value[:, :, self.length : end] = value
        self.length = end
        return self._key[:, :, :end], self._value[:, :, :end]
