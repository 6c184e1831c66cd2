"""Decoding where launching a kernel costs more than its work: every step is the same.

A step of a decode with growing caches has other shapes than the one before, so its two hundred
small kernels must be launched one by one. Here a step reads and writes the same memory at the same
addresses whatever is decoded: caches of full size, masked beyond what they hold; and all that
differs from one step to the next is one row of whole numbers, copied there at the start. CUDA
records such a step once, as a graph, and replays it with a single launch.

Decodes of equal sizes lie side by side in rows, always `NUM_ROWS` of them, used or not: so what
is computed for one does not depend, to the last digit, on how many there are, and a decode that
begins where another has ended finds the graph ready.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from perceiver_music.model.attention import BlockConfig
from perceiver_music.model.base import DecodeState
from perceiver_music.model.cross_block import ContextTable
from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.event_state import count_numbers
from perceiver_music.model.kv_cache import CacheRows

NUM_ROWS: Final = 8
"""As many as are made together; unused ones cost little beside the launches."""

_CROSS_SLOT, _CROSS_LENGTH, _SLOT, _LENGTH, _POSITION = range(5)
_NUM_PLACES, _NUM_TOKENS = 5, 2
_FIRST_TOKEN = _NUM_PLACES
_FIRST_EVENT = _NUM_PLACES + _NUM_TOKENS
_NUM_WARM_UPS = 3
# Both take a mask, and neither plans anew for what it has not met before.
_BACKENDS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


Step = Callable[["StaticRows"], Tensor]
"""Computes `[rows, vocabulary]` and adds to the caches, always with the same shapes and addresses,
and never waiting for the device."""


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """What rows of the same memory have in common; `weights` is where a graph looks for them."""

    context: int
    latents: int
    dtype: torch.dtype
    device: torch.device
    weights: int


class StaticRows:
    """Decodes side by side, and all that a step of theirs reads and writes.

    Attributes:
        tokens: `[rows, 2]`: the token before the last, and the last.
        position: `[rows, 1]`: positions before it in the window.
        events: `[rows, numbers]`: see `EventTracker.write`.
        table: what contexts' keys and values are made of.
        caches: of the cross-attention and then of each layer.
    """

    def __init__(
        self,
        sizes: _Sizes,
        table: ContextTable,
        block: BlockConfig,
        num_layers: int,
        layout: EventLayout | None,
        *,
        like: Tensor,
    ) -> None:
        self.sizes, self.table = sizes, table
        device = like.device
        width = _FIRST_EVENT + (0 if layout is None else count_numbers(layout))
        shape = (NUM_ROWS, width)
        self._host = torch.zeros(shape, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._inputs = self._host.to(device, copy=True)
        self.tokens = self._inputs[:, _FIRST_TOKEN:_FIRST_EVENT]
        self.position = self._inputs[:, _POSITION, None]
        self.events = self._inputs[:, _FIRST_EVENT:]
        capacities = [(sizes.context, _CROSS_SLOT)] + [(sizes.latents, _SLOT)] * num_layers
        self.caches = [
            CacheRows(
                NUM_ROWS,
                block.num_heads,
                capacity,
                block.head_width,
                slots=self._inputs[:, slot],
                like=like,
            )
            for capacity, slot in capacities
        ]
        self._dtype = like.dtype
        self._range = torch.arange(sizes.context, device=device)
        self._owners: list[weakref.ref[DecodeState] | None] = [None] * NUM_ROWS
        self._graph: _Graph | None = None
        self._is_recorded = device.type == "cuda"

    def masks(self) -> tuple[Tensor, Tensor]:
        """What is added to the scores of the cross-attention and of a layer."""
        return self._mask(self.sizes.context, _CROSS_LENGTH), self._mask(
            self.sizes.latents, _LENGTH
        )

    def _mask(self, capacity: int, column: int) -> Float[Tensor, "rows 1 1 capacity"]:
        is_empty = self._range[:capacity] >= self._inputs[:, column, None]
        mask = torch.zeros(is_empty.shape, dtype=self._dtype, device=is_empty.device)
        return mask.masked_fill_(is_empty, float("-inf"))[:, None, None]

    @property
    def is_used(self) -> bool:
        """Whether any decode in it is still of interest to someone."""
        return any(owner is not None and owner() is not None for owner in self._owners)

    def take(self, state: DecodeState) -> bool:
        """Give the state a row, if one is free."""
        for index, owner in enumerate(self._owners):
            if owner is None or owner() is None:
                self._owners[index] = weakref.ref(state)
                state.row = StaticRow(rows=self, index=index)
                return True
        return False

    def advance(self, states: Sequence[DecodeState], step: Step) -> None:
        """Append the last token of each of these to its caches, and set its logits."""
        self._write(states)
        # Waits for the copy, so that what is copied may be overwritten.
        self._inputs.copy_(self._host)
        logits = self._run(step).clone()
        for state in states:
            assert state.row is not None
            for cache in state.caches:
                cache.position += 1
            state.logits = logits[state.row.index]

    def _write(self, states: Sequence[DecodeState]) -> None:
        """All that the step has to know.

        A row without a new token takes the step too. What that leaves in its caches lies where its
        next token will overwrite it, and is finite.
        """
        places = []
        for cross, stack in zip(self.caches[0].rows, self.caches[1].rows, strict=True):
            places.append([*cross.place, *stack.place, cross.position])
        self._host[:, :_NUM_PLACES] = torch.tensor(places)
        for state in states:
            assert state.row is not None
            numbers = self._host[state.row.index]
            numbers[_FIRST_TOKEN:_FIRST_EVENT] = torch.tensor(state.tokens[-2:])
            if state.tracker is not None:
                state.tracker.advance(state.tokens[-1])
                state.tracker.write(numbers[_FIRST_EVENT:])

    def _run(self, step: Step) -> Float[Tensor, "rows vocabulary"]:
        if self._is_recorded and self._graph is None:
            self._graph = _record(lambda: step(self), self._inputs.device)
            self._is_recorded = self._graph is not None
        if self._graph is not None:
            return self._graph.replay()
        with _backends(self._inputs.device):
            return step(self)


@dataclass(frozen=True, kw_only=True)
class StaticRow:
    """Where a decode lies."""

    rows: StaticRows
    index: int


class StaticRowsPool:
    """The rows of one model: those in use, and those last used, for the next that fit."""

    def __init__(self) -> None:
        self._all: list[StaticRows] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a model has none: a graph is of the weights that it was recorded with."""
        return type(self), ()

    def restart(
        self,
        state: DecodeState,
        table: ContextTable,
        block: BlockConfig,
        num_layers: int,
        layout: EventLayout | None,
        *,
        like: Tensor,
    ) -> None:
        """Give the state empty caches: those of its row, or of a new one."""
        sizes = _Sizes(
            context=state.context,
            latents=state.latents,
            dtype=like.dtype,
            device=like.device,
            weights=like.data_ptr(),
        )
        if state.row is None and not any(r.sizes == sizes and r.take(state) for r in self._all):
            self._all = [rows for rows in self._all if rows.is_used]
            rows = StaticRows(sizes, table, block, num_layers, layout, like=like)
            rows.take(state)
            self._all.append(rows)
        assert state.row is not None
        rows = state.row.rows
        rows.table.keys.copy_(table.keys)
        rows.table.values.copy_(table.values)
        state.table = rows.table
        state.caches = [cache.rows[state.row.index] for cache in rows.caches]
        for cache in state.caches:
            cache.position = 0

    def advance(self, states: Sequence[DecodeState], step: Step) -> None:
        """Append the last token of each: those that lie side by side in one step."""
        together: dict[int, list[DecodeState]] = {}
        for state in states:
            assert state.row is not None
            together.setdefault(id(state.row.rows), []).append(state)
        for group in together.values():
            assert group[0].row is not None
            group[0].row.rows.advance(group, step)


class _Graph:
    """A recorded step and where its result appears."""

    def __init__(self, graph: torch.cuda.CUDAGraph, result: Tensor) -> None:
        self._graph, self._result = graph, result

    def replay(self) -> Tensor:
        """The step with what is in its inputs now."""
        self._graph.replay()
        return self._result


def _record(compute: Callable[[], Tensor], device: torch.device) -> _Graph | None:
    """Record what `compute` does; None where that is not possible.

    It is run on a stream of its own first: what libraries make at their first call, they must not
    make while a graph is recorded.
    """
    with torch.cuda.device(device), _backends(device):
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(_NUM_WARM_UPS):
                compute()
        current.wait_stream(stream)
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = compute()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # a recording that fails does not always leave its own
            reason = str(error).partition("\n")[0]
            warnings.warn(
                f"decoding is slower than it could be: no CUDA graph here ({reason})", stacklevel=2
            )
            return None
    return _Graph(graph, result)


def _backends(device: torch.device) -> Any:
    return sdpa_kernel(_BACKENDS) if device.type == "cuda" else nullcontext()
