"""Attention, MLP and norm shared by all models, and the masks that make them causal.

Every attention here is causal and aligned at the bottom right: the last query stands on the last
key. `torch`'s own `is_causal` is aligned at the top left, which is the same thing only when there
are as many queries as keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.elementwise import Dropout, RMSNorm, squared_relu
from perceiver_music.model.kv_cache import CacheRows, KeyValueCache, SegmentMemory
from perceiver_music.model.rotary import Rotary

_LARGEST_WIDTH, _LARGEST_RATIO = 1 << 16, 64


def check_soft_cap(cap: float | None) -> None:
    """Refuse a cap on logits that would leave none of them.

    Raises:
        ValueError: it is not a number above 0.
    """
    if cap is not None and not 0.0 < cap < float("inf"):
        raise ValueError(f"logit_soft_cap is a number above 0, not {cap}")


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """Shape and flavour of one attention-and-MLP block.

    The defaults are the `modern` flavour: RMSNorm without weights, normed queries and keys, no
    biases, residual branches that start at zero. The paper's has LayerNorm, biases and
    variance-scaling initialisation throughout.
    """

    width: int
    num_heads: int
    mlp_ratio: int = 4
    norm: Literal["rms", "layer"] = "rms"
    qk_norm: bool = True
    bias: bool = False
    zero_init_branches: bool = True
    value_embeddings: bool = False
    rotary_fraction: float = 0.5
    rotary_max_wavelength: float = 8192.0
    time_rotary_fraction: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.num_heads < 1 or self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")
        if self.norm not in ("rms", "layer"):
            raise ValueError(f"norm is 'rms' or 'layer', not {self.norm!r}")
        if self.width > _LARGEST_WIDTH or not 1 <= self.mlp_ratio <= _LARGEST_RATIO:
            raise ValueError(f"width is up to {_LARGEST_WIDTH}, mlp_ratio 1 to {_LARGEST_RATIO}")
        if not 1.0 < self.rotary_max_wavelength < float("inf"):
            raise ValueError("rotary_max_wavelength is a number above 1")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout {self.dropout} is not in [0, 1)")

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.width // self.num_heads


def make_norm(config: BlockConfig, *, before_product: bool = True) -> nn.Module:
    """The norm of this flavour over the width; see `RMSNorm` for `before_product`."""
    if config.norm == "layer":
        return nn.LayerNorm(config.width)
    return RMSNorm(before_product=before_product)


def make_rotary(config: BlockConfig) -> Rotary:
    """The rotary positions of this flavour; it has no weights, so every layer may have its own."""
    return Rotary(
        config.head_width,
        fraction=config.rotary_fraction,
        max_wavelength=config.rotary_max_wavelength,
        time_fraction=config.time_rotary_fraction,
    )


def make_linear(in_features: int, out_features: int, *, bias: bool) -> nn.Linear:
    """A linear layer with variance-scaling (fan-in) weights and zero bias."""
    linear = nn.Linear(in_features, out_features, bias=bias)
    nn.init.normal_(linear.weight, std=in_features**-0.5)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


def attention_mask(
    num_queries: int,
    visible: Bool[Tensor, "batch keys"],
) -> Bool[Tensor, "batch 1 queries keys"]:
    """Which key each query may see: those up to its own position that are visible.

    A query always sees its own position, so that the row of a padded query is not empty (a
    softmax over nothing is NaN, and NaN spreads through the gradient even when it is unused).
    """
    num_keys = visible.shape[1]
    own = torch.arange(num_keys - num_queries, num_keys, device=visible.device)[:, None]
    keys = torch.arange(num_keys, device=visible.device)
    return ((keys <= own) & visible[:, None, None, :]) | (keys == own)


def window_mask(
    num_queries: int, visible: Bool[Tensor, "batch keys"] | None
) -> Bool[Tensor, "batch 1 queries keys"] | None:
    """`attention_mask` of whole windows; None where it would hide nothing but what comes later.

    Attention without a mask is faster, by more than it takes to look; few of a training's windows
    are so short that what is hidden in them lies among the queries. A compiled graph cannot look.
    """
    if visible is None or (not torch.compiler.is_compiling() and bool(visible.all())):
        return None
    return attention_mask(num_queries, visible)


@lru_cache(maxsize=8)
def _causal_bias(num_queries: int, num_keys: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # what is kept must serve training too
        allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
        allowed = allowed.tril(diagonal=num_keys - num_queries)
        return torch.zeros(num_queries, num_keys, dtype=dtype).masked_fill(~allowed, float("-inf"))


def causal_attention(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    value: Float[Tensor, "batch heads keys width"],
    mask: Bool[Tensor, "batch 1 queries keys"]
    | Float[Tensor, "batch 1 queries keys"]
    | None = None,
) -> Float[Tensor, "batch heads queries width"]:
    """Scaled dot-product attention from the last `queries` of the `keys` positions.

    Without a mask every CUDA path can use a flash kernel. With one (padding, prefix dropout) the
    mask must be that of `attention_mask`, causality included, or say the same as what is added to
    the scores.
    """
    num_queries, num_keys = query.shape[-2], key.shape[-2]
    if mask is not None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    if num_queries == 1:
        return F.scaled_dot_product_attention(query, key, value)
    if num_queries == num_keys:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    bias: Tensor
    if query.is_cuda:
        # Not at the top: it takes a second to import, as long as all the rest of torch.
        from torch.nn.attention.bias import causal_lower_right

        bias = causal_lower_right(num_queries, num_keys)  # type: ignore[assignment]
    else:  # elsewhere the bias object would build its matrix anew at every call
        bias = _causal_bias(num_queries, num_keys, query.dtype).to(query.device)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


class Attention(nn.Module):
    """Projections of one multi-head attention.

    Args:
        config: of its block.
        is_of_itself: whether queries, keys and values are all of the same positions.
    """

    def __init__(self, config: BlockConfig, *, is_of_itself: bool = True) -> None:
        super().__init__()
        self.config = config
        self.is_of_itself = is_of_itself
        self.joint: nn.Module | None = None
        """Instead of `query`, `key` and `value`: see `packed_linear`."""
        width = config.width
        self.query = make_linear(width, width, bias=config.bias)
        self.key = make_linear(width, width, bias=config.bias)
        self.value = make_linear(width, width, bias=config.bias)
        self.output = make_linear(width, width, bias=config.bias)
        if config.zero_init_branches:
            nn.init.zeros_(self.output.weight)
        self.rotary = make_rotary(config)

    def split_heads(
        self, x: Float[Tensor, "*batch length width"]
    ) -> Float[Tensor, "*batch heads length head_width"]:
        """Move heads in front of positions."""
        return x.unflatten(-1, (self.config.num_heads, -1)).transpose(-2, -3)

    def rotate_heads(
        self, x: Float[Tensor, "*batch length width"], angles: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Queries or keys `[*batch, heads, length, head_width]` of their projections `x`.

        Of unit mean square per head (QK-norm, arXiv 2010.04245), if this flavour has it, then
        rotated.
        """
        return self.rotary.rotate(self.split_heads(x), angles, normalize=self.config.qk_norm)

    def project(
        self, x: Float[Tensor, "batch length width"], angles: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries, rotated keys, and values: `[batch, heads, length, head_width]`."""
        if self.joint is None:
            key = self.rotate_heads(self.key(x), angles)
            value = self.split_heads(self.value(x))
            return self.rotate_heads(self.query(x), angles), key, value
        heads = self.joint(x).unflatten(-1, (3, self.config.num_heads, -1))
        heads = heads.permute(2, 0, 3, 1, 4)
        query, key = self.rotary.rotate(heads[:2], angles, normalize=self.config.qk_norm).unbind()
        return query, key, heads[2]

    def mix(
        self,
        query: Float[Tensor, "batch heads queries head_width"],
        key: Float[Tensor, "batch heads keys head_width"],
        value: Float[Tensor, "batch heads keys head_width"],
        mask: Tensor | None,
    ) -> Float[Tensor, "batch queries width"]:
        """What rotated queries find."""
        return self.merge_heads(causal_attention(query, key, value.to(query.dtype), mask))

    def merge_heads(
        self, mixed: Float[Tensor, "batch heads queries head_width"]
    ) -> Float[Tensor, "batch queries width"]:
        """The output projection of what the heads found."""
        return self.output(mixed.transpose(1, 2).flatten(-2))


class MLP(nn.Module):
    """Two linear layers around a squared ReLU (arXiv 2109.08668)."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        hidden = config.mlp_ratio * config.width
        self.up = make_linear(config.width, hidden, bias=config.bias)
        self.down = make_linear(hidden, config.width, bias=config.bias)
        if config.zero_init_branches:
            nn.init.zeros_(self.down.weight)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.down(squared_relu(self.up(x)))


class CausalBlock(nn.Module):
    """One causal layer: attention among its own positions, then an MLP.

    With value embeddings, a table of the vocabulary adds to the values of each position what its
    token alone says (in the manner of arXiv 2410.17897), at the price of a look-up.
    """

    def __init__(self, config: BlockConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.mlp_norm = make_norm(config)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)
        self.value_table = None
        if config.value_embeddings:
            self.value_table = nn.Embedding(vocabulary_size, config.width)
            nn.init.zeros_(self.value_table.weight)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        tokens: Int[Tensor, "batch length"],
        angles: tuple[Tensor, Tensor],
        *,
        mask: Tensor | None = None,
        cache: CacheRows | KeyValueCache | SegmentMemory | None = None,
    ) -> Float[Tensor, "batch length width"]:
        normed = self.attention_norm(x)
        query, key, value = self.attention.project(normed, angles)
        if self.value_table is not None:
            extra = self.attention.split_heads(self.value_table(tokens))
            value = value + extra.to(value.dtype)
        if cache is not None:
            key, value = cache.append(key, value)
        x = x + self.dropout(self.attention.mix(query, key, value, mask))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))
