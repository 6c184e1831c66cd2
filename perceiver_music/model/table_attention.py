"""Causal attention whose values are rows of a table, by the native library.

Keys differ from position to position, values only from id to id. The library adds a query's weights
up by id and multiplies the sums with the table; on the way back it looks gradients of weights up by
id. Of seven products over all positions four are left, and no score goes through memory: that makes
training with a long context cheap on a processor. Elsewhere, and without the library,
`attention.causal_attention` computes the same of values that are looked up first.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from perceiver_music.model.native.library import AttentionParts, kernel_names, load_library

_BLOCK = 16
_FEWEST_KEYS = 512
_MOST_HEAD_WIDTH = 1024  # a score is at most its root, and its power finite
_SLOW = ((), ("generic",))  # without the library, or registers of eight lanes, torch is faster


def is_possible(query: Tensor, key: Tensor) -> bool:
    """Whether the library is there, and for these it is the faster way.

    Args:
        query: `[batch, heads, queries, head_width]`, normed, as are the keys: powers of scores are
            taken as they are.
        key: `[batch, heads, keys, head_width]`.
    """
    if torch.compiler.is_compiling() or not query.is_cpu or not query.numel():
        return False
    if query.shape[-1] % _BLOCK or query.shape[-1] > _MOST_HEAD_WIDTH:
        return False
    if query.shape[-2] < _BLOCK or key.shape[-2] < _FEWEST_KEYS:
        return False
    # Tiles of a processor that has them multiply bf16 faster than any register multiplies fp32.
    if query.dtype == torch.bfloat16 and _has_tiles():
        return False
    return query.dtype in (torch.float32, torch.bfloat16) and kernel_names()[:1] not in _SLOW


def table_attention(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    ids: Int[Tensor, "batch keys"],
    table: Float[Tensor, "heads ids width"],
    visible: Bool[Tensor, "batch keys"] | None = None,
    *,
    kernels: str | None = None,
) -> Float[Tensor, "batch heads queries width"]:
    """What `causal_attention` finds among the values `table[:, ids]`, in the precision of `query`.

    Args:
        query: of the last positions, of unit mean square.
        key: of all positions, of unit mean square.
        ids: which row of the table is a position's value.
        table: the values of all ids.
        visible: which positions others than themselves may see; all, if None.
        kernels: which of the library's `kernel_names`; the best, if None.

    Raises:
        IndexError: an id has no row.
        MemoryError: there was not enough.
    """
    low, high = ids.aminmax()
    if low < 0 or high >= table.shape[1]:
        raise IndexError(f"ids from {low} to {high}, and {table.shape[1]} rows")
    mixed: Tensor = _TableAttention.apply(query, key, ids, table, visible, kernels)
    return mixed


class _TableAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        query, key, ids, table, visible, kernels = inputs
        parts = {"query": _plain(query), "key": _plain(key), "table": _plain(table)}
        parts["mixed"] = torch.empty_like(parts["query"])
        parts["inverse"] = torch.empty_like(parts["query"][..., 0])
        _attend(parts, ids, visible, kernels)
        ctx.save_for_backward(query, key, ids, table, visible, parts["mixed"], parts["inverse"])
        ctx.kernels = kernels
        return parts["mixed"].to(query.dtype)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, ids, table, visible, mixed, inverse = ctx.saved_tensors
        parts = {"query": _plain(query), "key": _plain(key), "table": _plain(table)}
        query_slope = torch.zeros_like(parts["query"])
        key_slope = torch.zeros_like(parts["key"])
        table_slope = parts["table"].new_zeros(len(query), *table.shape)
        parts |= {"mixed": mixed, "inverse": inverse, "slope": _plain(gradients[0])}
        parts |= {"query_slope": query_slope, "key_slope": key_slope, "table_slope": table_slope}
        _attend(parts, ids, visible, ctx.kernels)
        of_table = table_slope.sum(0).to(table.dtype)
        return query_slope.to(query.dtype), key_slope.to(key.dtype), None, of_table, None, None


def _plain(x: Tensor) -> Tensor:
    return x.detach().float().contiguous()


def _attend(
    parts: dict[str, Tensor], ids: Tensor, visible: Tensor | None, kernels: str | None
) -> None:
    """Run all heads of all sequences, as many at a time as torch has threads.

    Args:
        parts: those of `AttentionParts` by name, float32 and contiguous.
        ids: `[batch, keys]`.
        visible: the same, or None.
        kernels: their name, or None.
    """
    batch, heads, queries, width = parts["query"].shape
    # Both live as long as the library reads them.
    ids = ids.to(torch.int32).contiguous()
    visible = None if visible is None else visible.to(torch.bool).contiguous()
    call = AttentionParts(
        heads=heads,
        queries=queries,
        keys=ids.shape[1],
        width=width,
        num_ids=parts["table"].shape[1],
        ids=ids.data_ptr(),
        visible=None if visible is None else visible.data_ptr(),
        **{name: tensor.data_ptr() for name, tensor in parts.items()},
    )
    library = load_library()
    assert library is not None
    threads = min(torch.get_num_threads(), batch * heads)
    edges = [batch * heads * i // threads for i in range(threads + 1)]
    name = None if kernels is None else kernels.encode()

    def run(i: int) -> int:
        return int(library.pm_attend(call, edges[i], edges[i + 1], name))

    if threads == 1:
        failed = run(0) != 0
    else:
        jobs = [_pool().submit(run, i) for i in range(threads)]
        try:
            failed = any(job.result() for job in jobs)
        finally:
            wait(jobs)  # an interrupt must not free what they write to
    if failed:
        raise MemoryError("not enough memory for attention, or no such kernels")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="attention")


@cache
def _has_tiles() -> bool:
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return ask is not None and bool(ask())
