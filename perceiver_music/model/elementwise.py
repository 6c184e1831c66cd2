"""The element-wise parts of a block, each with a backward pass of its own.

Left to autograd, a norm, a squared ReLU and a rotation each become half a dozen passes over memory
forward and more backward; where matrix products are fast, that is most of a training step
(docs/lab-book.md). The derivatives are written out here, and hold as little as they need.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_EPSILON = 1e-6


def rms_normalize(
    x: Float[Tensor, "*batch width"], dtype: torch.dtype | None = None
) -> Float[Tensor, "*batch width"]:
    """Scale every vector to unit mean square (arXiv 1910.07467), without weights.

    Args:
        x: any vectors.
        dtype: of the result; that of `x` if None.
    """
    if not torch.is_grad_enabled():
        return _normalized_alone(x).to(dtype or x.dtype)
    return _apply(_RMSNormalize, x, dtype or x.dtype)


def squared_relu(x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    """`max(x, 0) ** 2` (arXiv 2109.08668)."""
    return _apply(_SquaredReLU, x)


def turn(
    x: Float[Tensor, "*batch width"],
    cos: Float[Tensor, "*#batch pairs"],
    sin: Float[Tensor, "*#batch pairs"],
) -> Float[Tensor, "*batch width"]:
    """Turn channel pairs `(i, i + pairs)` of every vector by their angles; the rest stays."""
    return _apply(_Turn, x, cos, sin)


def normalize_and_turn(
    x: Float[Tensor, "*batch width"],
    cos: Float[Tensor, "*#batch pairs"],
    sin: Float[Tensor, "*#batch pairs"],
) -> Float[Tensor, "*batch width"]:
    """`turn` of `rms_normalize`, in fewer passes over memory: a long context's keys are large."""
    if not torch.is_grad_enabled():
        return _turn_in_place(_normalized_alone(x), cos, sin, 1)
    return _apply(_NormalizeAndTurn, x, cos, sin)


def compute_dtype(x: Tensor) -> torch.dtype:
    """What a matrix product of `x` would be computed in: autocast's choice, or its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class RMSNorm(nn.Module):
    """`rms_normalize` as a module.

    Args:
        before_product: the result goes into matrix products alone, so it may have their precision.
    """

    def __init__(self, *, before_product: bool) -> None:
        super().__init__()
        self.before_product = before_product

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return rms_normalize(x, compute_dtype(x) if self.before_product else None)


class Dropout(nn.Dropout):
    """`nn.Dropout`, whose draws cost a processor a third: 16 bits each, four of one number."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if (
            not self.training
            or not self.p
            or x.device.type != "cpu"
            or torch.compiler.is_compiling()
        ):
            return super().forward(x)
        return _apply(_Dropout, x, self.p)


class _Nothing:
    """Where a forward pass puts what a backward pass would need, when none will follow."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Forget them."""


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """The function; without a gradient to come as plain operations, a third of the price of one
    vector.
    """
    if torch.is_grad_enabled():
        return function.apply(*arguments)
    return function.forward(_Nothing(), *arguments)


def _normalized_alone(x: Tensor) -> Tensor:
    """A new tensor of vectors of unit mean square, of the precision of `x` under autocast too.

    Without what a gradient would need: in a decode, calls are what costs.
    """
    if x.is_cuda:  # one launch instead of six; elsewhere this is as many
        return F.rms_norm(x, x.shape[-1:], eps=_EPSILON).to(x.dtype)
    exact = torch.promote_types(x.dtype, torch.float32)
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
    epsilon = _epsilon(exact, x.device)
    scale = torch.addcmul(epsilon, size, size, value=1 / x.shape[-1]).rsqrt_()
    return x * scale.to(x.dtype)


@cache
def _epsilon(dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is kept must serve all
        return torch.tensor(_EPSILON, dtype=dtype, device=device)


class _RMSNormalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        normed, scale = _normalized(x)
        normed = normed.to(dtype)
        ctx.save_for_backward(normed, scale)
        ctx.dtype = x.dtype
        return normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return _across(gradient, *ctx.saved_tensors).to(ctx.dtype), None


class _NormalizeAndTurn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        normed, scale = _normalized(x)
        turned = _turn_in_place(normed, cos, sin, 1)
        ctx.save_for_backward(turned, scale, cos, sin)
        return turned

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        turned, scale, cos, sin = ctx.saved_tensors
        # Turning changes no length and no angle between two vectors, so the norm's derivative is
        # the same in turned channels, and is turned back at the end.
        return _turn_in_place(_across(gradient, turned, scale), cos, sin, -1), None, None


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = F.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        (positive,) = ctx.saved_tensors
        return (gradient * positive).mul_(2)


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn_in_place(x.clone(), cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        cos, sin = ctx.saved_tensors
        return _turn_in_place(gradient.clone(), cos, sin, -1), None, None


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, probability: float) -> Tensor:
        drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        lost = min(round(probability * 2**16), 2**16 - 1)
        kept = (drawn.view(torch.int16)[: x.numel()] >= lost - 2**15).view(x.shape)
        ctx.save_for_backward(kept)
        ctx.scale = 2**16 / (2**16 - lost)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None


def _normalized(x: Tensor) -> tuple[Tensor, Tensor]:
    """A new tensor of vectors of unit mean square, and what each was multiplied by."""
    exact = torch.promote_types(x.dtype, torch.float32)
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
    scale = (size.square() / x.shape[-1] + _EPSILON).rsqrt()
    # In the precision of `x`: a product of two precisions would first copy the larger part.
    return x * scale.to(x.dtype), scale


def _across(gradient: Tensor, normed: Tensor, scale: Tensor) -> Tensor:
    """A new tensor: the gradient before a norm, which nothing along a vector gets through."""
    along = (gradient * normed).sum(-1, keepdim=True, dtype=scale.dtype)
    along = (along / -normed.shape[-1]).to(gradient.dtype)
    across = torch.addcmul(gradient, normed, along)
    return across.mul_(scale.to(across.dtype))


def _turn_in_place(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    half = cos.shape[-1]
    first, second = x[..., :half], x[..., half : 2 * half]
    before = first.clone()
    first.mul_(cos).addcmul_(second, sin, value=-direction)
    second.mul_(cos).addcmul_(before, sin, value=direction)
    return x
