"""Keys and values of the positions seen so far, in memory taken once."""

from __future__ import annotations

from copy import copy

import torch
from jaxtyping import Float, Int, Shaped
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
        self.holds_ids = False
        """Whether it holds, instead of values, which row of a table each is."""

    @classmethod
    def of_ids(
        cls, num_heads: int, capacity: int, head_width: int, *, like: Tensor
    ) -> KeyValueCache:
        """One that holds ids instead of values: `[1, 1, length, 1]`."""
        cache = cls(num_heads, capacity, head_width, like=like)
        cache._value = torch.empty((1, 1, capacity, 1), dtype=torch.int64, device=like.device)
        cache.holds_ids = True
        return cache

    @classmethod
    def over(cls, key: Held, value: Held) -> KeyValueCache:
        """An empty one in memory that is there."""
        cache = cls(key.shape[1], 0, key.shape[3], like=key)
        cache._key, cache._value = key, value
        return cache

    def copy(self) -> KeyValueCache:
        """One that holds the same, in memory of its own."""
        other = copy(self)
        other._key, other._value = self._key.clone(), self._value.clone()
        return other

    @property
    def place(self) -> tuple[int, int]:
        """Where the next position goes, and how many are held then."""
        capacity = self._key.shape[2]
        return self.position % capacity, min(self.position + 1, capacity)

    @property
    def length(self) -> int:
        """Positions held."""
        return min(self.position, self._key.shape[2])

    def append(
        self,
        key: Float[Tensor, "1 heads new head_width"],
        value: Shaped[Tensor, "1 value_heads new value_width"],
    ) -> tuple[
        Float[Tensor, "1 heads length head_width"],
        Shaped[Tensor, "1 value_heads length value_width"],
    ]:
        """Add new positions; returns views of all keys and values held."""
        new, capacity = key.shape[2], self._key.shape[2]
        assert new == 1 or self.position + new <= capacity, "only one forgets another"
        start = self.position % capacity
        self._key.narrow(2, start, new).copy_(key)
        self._value.narrow(2, start, new).copy_(value)
        self.position += new
        length = self.length
        return self._key.narrow(2, 0, length), self._value.narrow(2, 0, length)


class CacheRows:
    """Caches of equal size side by side: one step adds a position to each.

    Where it goes is read from a tensor, and all memory is given back whether it holds anything or
    not, so that a step does the same with the same addresses whatever the caches hold. What they
    do not hold is for a mask to hide.

    Args:
        num_rows: how many caches.
        num_heads, capacity, head_width, like: of each: see `KeyValueCache`.
        slots: where the next position of each goes, at the time of the step.
    """

    def __init__(
        self,
        num_rows: int,
        num_heads: int,
        capacity: int,
        head_width: int,
        *,
        slots: Int[Tensor, " rows"],
        like: Tensor,
    ) -> None:
        shape = (num_rows, num_heads, capacity, head_width)
        # Zeros, because what is masked must be finite: a weight of zero leaves NaN what it is.
        self._key = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self._value = torch.zeros_like(self._key)
        self._index = slots[:, None, None, None].expand(num_rows, num_heads, 1, head_width)
        self.rows = [
            KeyValueCache.over(self._key[row : row + 1], self._value[row : row + 1])
            for row in range(num_rows)
        ]
        """The caches one by one."""

    def append(
        self,
        key: Float[Tensor, "rows heads 1 head_width"],
        value: Float[Tensor, "rows heads 1 head_width"],
    ) -> tuple[
        Float[Tensor, "rows heads capacity head_width"],
        Float[Tensor, "rows heads capacity head_width"],
    ]:
        """Add a position to each; returns all keys and values. Who calls counts the positions."""
        self._key.scatter_(2, self._index, key.to(self._key.dtype))
        self._value.scatter_(2, self._index, value.to(self._value.dtype))
        return self._key, self._value


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
