"""Rotary position encoding on a fraction of each head's channels (arXiv 2104.09864).

As in Perceiver AR (arXiv 2202.07765), frequencies are spaced evenly on a log scale from 1 to
1 / max_wavelength, both ends included, and the channels beyond the fraction carry no position.
Only differences of positions matter, so a window may count from any origin.

A further fraction may turn with the time of the music instead of the number of the event, at the
same frequencies: "a bar ago" is then the same angle however many events the bar had.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perceiver_music.model.elementwise import normalize_and_turn, turn

_FEWEST_ROWS = 256


@lru_cache(maxsize=16)
def _frequencies(num_pairs: int, max_wavelength: float, device: torch.device) -> Tensor:
    """Radians of each pair in one step; float64, which not every device has, where it can be."""
    with torch.inference_mode(False):
        exponents = torch.linspace(0.0, 1.0, num_pairs, dtype=torch.float64, device="cpu")
        frequencies = max_wavelength**-exponents
        return frequencies.to(device, torch.float32 if device.type == "mps" else torch.float64)


@lru_cache(maxsize=16)
def _angle_table(
    num_positions: int, num_pairs: int, max_wavelength: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of all pairs at positions 0, 1, ...; float32 on `device`."""
    with torch.inference_mode(False):  # what is kept must serve training too
        # float64 until the end: at position 32,768 float32 angles are off by 0.002 radians. On
        # the CPU, because not every device has it.
        positions = torch.arange(num_positions, dtype=torch.float64, device="cpu")
        phase = positions[:, None] * _frequencies(num_pairs, max_wavelength, positions.device)
        return phase.cos().float().to(device), phase.sin().float().to(device)


class Rotary:
    """Turns pairs of channels by an angle proportional to the position.

    Channel `i` is paired with channel `i + size / 2` of the rotated part, which is the paper's
    neighbouring pairs up to a fixed permutation of channels, and needs no strided access.

    Args:
        head_width: channels of one head.
        fraction: share of them that turn with the position; rounded to an even number.
        max_wavelength: the slowest pair turns one radian in so many positions.
        time_fraction: share of them that turn with the time.

    Raises:
        ValueError: the fraction leaves no pair to turn or exceeds one.
    """

    def __init__(
        self,
        head_width: int,
        *,
        fraction: float,
        max_wavelength: float,
        time_fraction: float = 0.0,
    ) -> None:
        self.num_pairs = round(head_width * fraction / 2)
        self.num_time_pairs = round(head_width * time_fraction / 2)
        self.size = 2 * (self.num_pairs + self.num_time_pairs)
        if self.num_pairs < 1 or self.size > head_width:
            raise ValueError(
                f"rotary fractions {fraction} and {time_fraction} of {head_width} channels"
                " are no pair, or too many"
            )
        self.max_wavelength = max_wavelength

    def angles(
        self,
        start: int,
        stop: int,
        device: torch.device,
    ) -> tuple[Tensor, Tensor]:
        """Cosines and sines for `rotate`, float32, of positions `start` to before `stop`.

        Returns:
            each `[stop - start, size / 2]`.

        Raises:
            ValueError: some channels turn with the time: `angles_at` is told it.
        """
        if self.num_time_pairs:
            raise ValueError("channels that turn with the time, and no time")
        num_rows = max(_FEWEST_ROWS, 1 << (stop - 1).bit_length())
        table = _angle_table(num_rows, self.num_pairs, self.max_wavelength, device)
        cos, sin = (part[start:stop] for part in table)
        return cos, sin

    def angles_at(
        self, number: Int[Tensor, "batch positions"], time: Int[Tensor, "batch positions"]
    ) -> tuple[Tensor, Tensor]:
        """Cosines and sines for `rotate`, float32, of positions that stand at any place.

        Returns:
            each `[batch, 1, positions, size / 2]`.
        """
        phase = self._phase(number, self.num_pairs)
        if self.num_time_pairs:
            phase = torch.cat((phase, self._phase(time, self.num_time_pairs)), dim=-1)
        return phase.cos().float(), phase.sin().float()

    def _phase(self, place: Tensor, num_pairs: int) -> Tensor:
        frequencies = _frequencies(num_pairs, self.max_wavelength, place.device)
        return place[:, None, :, None] * frequencies

    def rotate(
        self,
        x: Float[Tensor, "*batch length head_width"],
        angles: tuple[Tensor, Tensor],
        *,
        normalize: bool = False,
    ) -> Float[Tensor, "*batch length head_width"]:
        """Turn the first `size` channels of every vector by its position's angles.

        Args:
            x: any vectors.
            angles: from `angles` or `angles_at`.
            normalize: to unit mean square first.
        """
        cos, sin = (part.to(x.dtype) for part in angles)
        return normalize_and_turn(x, cos, sin) if normalize else turn(x, cos, sin)
