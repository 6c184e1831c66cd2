"""Rotary position encoding on a fraction of each head's channels (arXiv 2104.09864).

As in Perceiver AR (arXiv 2202.07765), frequencies are spaced evenly on a log scale from 1 to
1 / max_wavelength, both ends included, and the channels beyond the fraction carry no position.
Only differences of positions matter, so a window may count from any origin.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

_FEWEST_ROWS = 256


@lru_cache(maxsize=16)
def _angle_table(
    num_positions: int, num_pairs: int, max_wavelength: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of all pairs at positions 0, 1, ...; float32 on `device`."""
    with torch.inference_mode(False):  # what is kept must serve training too
        # float64 until the end: at position 32,768 float32 angles are off by 0.002 radians. On
        # the CPU, because not every device has it.
        exponents = torch.linspace(0.0, 1.0, num_pairs, dtype=torch.float64, device="cpu")
        positions = torch.arange(num_positions, dtype=torch.float64, device="cpu")
        phase = positions[:, None] * max_wavelength**-exponents
        return phase.cos().float().to(device), phase.sin().float().to(device)


class Rotary:
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
        self.size = 2 * round(head_width * fraction / 2)
        if not 2 <= self.size <= head_width:
            raise ValueError(f"rotary fraction {fraction} of {head_width} channels is no pair")
        self.max_wavelength = max_wavelength

    def angles(self, start: int, stop: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines, `[stop - start, size / 2]` float32, for `rotate`."""
        num_rows = max(_FEWEST_ROWS, 1 << (stop - 1).bit_length())
        cos, sin = _angle_table(num_rows, self.size // 2, self.max_wavelength, device)
        return cos[start:stop], sin[start:stop]

    def rotate(
        self, x: Float[Tensor, "*batch length head_width"], angles: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "*batch length head_width"]:
        """Turn the first `size` channels of every vector by its position's angles."""
        cos, sin = (part.to(x.dtype) for part in angles)
        half = self.size // 2
        first, second = x[..., :half], x[..., half : self.size]
        turned = (first * cos - second * sin, second * cos + first * sin)
        return torch.cat((*turned, x[..., self.size :]), dim=-1)
