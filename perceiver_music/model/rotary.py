"""Rotary position encoding on a fraction of each head's channels (arXiv 2104.09864).

As in Perceiver AR (arXiv 2202.07765), frequencies are spaced evenly on a log scale from 1 to
1 / max_wavelength, both ends included, and the channels beyond the fraction carry no position.
Only differences of positions matter, so a window may count from any origin.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Rotary(nn.Module):
    """Turns pairs of channels by an angle proportional to the position.

    Channel `i` is paired with channel `i + size / 2` of the rotated part, which is the paper's
    neighbouring pairs up to a fixed permutation of channels, and needs no strided access.

    Args:
        head_width: channels of one head.
        fraction: share of them that turn; rounded to an even number.
        max_wavelength: the slowest pair turns one radian in so many positions.

    Raises:
        ValueError: the fraction leaves no pair to turn or exceeds one.
    """

    def __init__(self, head_width: int, *, fraction: float, max_wavelength: float) -> None:
        super().__init__()
        self.size = 2 * round(head_width * fraction / 2)
        if not 2 <= self.size <= head_width:
            raise ValueError(f"rotary fraction {fraction} of {head_width} channels is no pair")
        exponents = torch.linspace(0.0, 1.0, self.size // 2, dtype=torch.float64)
        frequencies = max_wavelength**-exponents
        self.register_buffer("frequencies", frequencies, persistent=False)

    def angles(self, positions: Int[Tensor, " length"]) -> tuple[Tensor, Tensor]:
        """Cosines and sines, `[length, size / 2]` float32, for `rotate`."""
        # float64 until the end: at position 32,768 float32 angles are off by 0.002 radians.
        phase = positions.to(torch.float64)[:, None] * self.frequencies
        return phase.cos().float(), phase.sin().float()

    def rotate(
        self, x: Float[Tensor, "*batch length head_width"], angles: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "*batch length head_width"]:
        """Turn the first `size` channels of every vector by its position's angles."""
        cos, sin = (part.to(x.dtype) for part in angles)
        half = self.size // 2
        first, second = x[..., :half], x[..., half : self.size]
        turned = (first * cos - second * sin, second * cos + first * sin)
        return torch.cat((*turned, x[..., self.size :]), dim=-1)
