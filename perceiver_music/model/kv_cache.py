"""Keys and values of the positions seen so far, in memory taken once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Held = Float[Tensor, "1 heads length head_width"]


class KeyValueCache:
    """Grows along the length without copying what it holds.

    When it is full, a new position takes the place of the oldest: keys are rotated, so attention
    does not ask for their order.

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
        self.position = 0
        """How many positions were ever added."""

    @property
    def length(self) -> int:
        """Positions held."""
        return min(self.position, self._key.shape[2])

    def append(
        self,
        key: Float[Tensor, "1 heads new head_width"],
        value: Float[Tensor, "1 heads new head_width"],
    ) -> tuple[
        Float[Tensor, "1 heads length head_width"], Float[Tensor, "1 heads length head_width"]
    ]:
        """Add new positions; returns views of all keys and values held."""
        new, capacity = key.shape[2], self._key.shape[2]
        assert new == 1 or self.position + new <= capacity, "only one forgets another"
        start = self.position % capacity
        self._key[:, :, start : start + new] = key
        self._value[:, :, start : start + new] = value
        self.position += new
        return self._key[:, :, : self.length], self._value[:, :, : self.length]


class SegmentMemory:
    """Keys and values of one layer: those of the segment so far, and of the positions before it.

    What is remembered is keys and values, not the layer's inputs as published: the same numbers
    without making them again, at the price that no gradient reaches their projections from there.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: tuple[Tensor, Tensor] | None = None

    @property
    def length(self) -> int:
        """Positions held."""
        return 0 if self._held is None else self._held[0].shape[2]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add positions of this segment; returns all that they may attend to."""
        if self._held is not None:
            before_key, before_value = self._held
            key = torch.cat((before_key, key), dim=2)
            value = torch.cat((before_value, value), dim=2)
        self._held = key, value
        return self._held

    def end_segment(self) -> None:
        """Forget all but the last positions, and let no gradient through to these."""
        assert self._held is not None
        first = max(0, self.length - self._size)
        key, value = (part[:, :, first:].detach() for part in self._held)
        self._held = key, value
