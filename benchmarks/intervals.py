"""Intervals over pieces: what another choice of pieces would have made of a mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NUM_DRAWS = 10_000


def weighted_mean_interval(
    sums: npt.ArrayLike, counts: npt.ArrayLike, *, seed: int = 0
) -> tuple[float, float, float]:
    """The mean over all events, with a 95 per cent bootstrap interval over pieces.

    Args:
        sums: of each piece, over its events.
        counts: events of each piece.
        seed: of the draws.

    Returns:
        mean, lower end, upper end.
    """
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sums), size=(NUM_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(sums.sum() / counts.sum()), float(low), float(high)


def as_fields(interval: tuple[float, float, float], digits: int = 4) -> dict[str, float]:
    """An interval as a JSON object."""
    names = ("mean", "low", "high")
    return {name: round(value, digits) for name, value in zip(names, interval, strict=True)}
