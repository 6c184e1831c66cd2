"""Matrices as a processor reads them fastest: half the memory, and the same numbers.

An event multiplies one vector by every matrix, so most of its time is the reading of matrices from
memory. A checkpoint's weights are bf16; nearly all of them are fp16 numbers too. The kernel that
FBGEMM made for fp16 weights, fp32 vectors and fp32 sums reads those at the speed of memory, in half
the bytes of fp32 (a matrix product of fp32 reaches half of that speed on a single vector). With
AVX2 a row's last digits depend on how many rows there are, as they do not with AVX-512; decodes
that are made together go through it one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perceiver_music.model.attention import Attention

_LARGEST_ERROR = 2.0**-25
"""Of a weight: half the distance of the smallest fp16 numbers."""


class PackedLinear(nn.Module):
    """Linear layers of the same input as one product, for decoding alone: no gradient, no saving.

    Args:
        linears: whose outputs lie one behind the other. See `is_packable`.
    """

    def __init__(self, *linears: nn.Linear) -> None:
        super().__init__()
        weight = torch.cat([linear.weight.detach() for linear in linears])
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        bias = torch.cat(biases) if biases else None
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16.default(
            torch.atleast_2d(x), self._packed
        )
        return product.view(*x.shape[:-1], -1)


def pack_linears(model: nn.Module) -> None:
    """Pack every linear layer of a model that decodes on the processor, where that is possible.

    Those left alone compute as before: where there is no such kernel, and weights that fp16 does
    not hold.
    """
    if not _has_kernel():
        return
    for module in model.modules():
        if isinstance(module, Attention):
            _join(module)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and is_packable([child]):
                setattr(module, name, PackedLinear(child))
            elif isinstance(child, nn.Dropout):
                setattr(module, name, nn.Identity())


def is_packable(linears: Sequence[nn.Linear]) -> bool:
    """Whether fp16 holds the weights, but for what fp32 sums would not show."""
    weights = [linear.weight.detach() for linear in linears]
    return all(
        weight.dtype == torch.float32
        and weight.is_cpu
        and bool(((weight.half().float() - weight).abs() <= _LARGEST_ERROR).all())
        for weight in weights
    )


def _join(attention: Attention) -> None:
    """Make queries, keys and values with a single product, where all are of the same positions."""
    linears = [attention.query, attention.key, attention.value]
    if attention.is_of_itself and is_packable(linears):
        attention.joint = PackedLinear(*linears)
        del attention.query, attention.key, attention.value


@cache
def _has_kernel() -> bool:
    try:
        found = PackedLinear(nn.Linear(8, 8))(torch.ones(1, 8))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool(found.isfinite().all())
