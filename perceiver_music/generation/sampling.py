"""From logits to an event: temperature, cuts, one draw."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import NonFiniteError
from perceiver_music.generation.options import SamplingOptions

Probabilities = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]

_COLDEST = 1e-200
"""A lower temperature draws the same, and a division by it could overflow."""


def probabilities(
    logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_], options: SamplingOptions
) -> Probabilities:
    """The distribution to draw from, `[vocabulary]`, zero where not allowed.

    The grammar comes first, so that the cuts choose among events that can be.

    Raises:
        NonFiniteError: the logits are not numbers.
    """
    if not math.isfinite(float(logits.sum(dtype=np.float64))):
        raise NonFiniteError(
            "the model's prediction is not finite",
            hint="The checkpoint may be damaged: try `perceiver-music models verify`.",
        )
    ids = np.flatnonzero(allowed)
    scores = logits[ids].astype(np.float64)
    found = np.zeros(len(logits))
    if options.temperature == 0.0:
        found[ids[scores.argmax()]] = 1.0
        return found
    scores -= scores.max()
    scores /= max(options.temperature, _COLDEST)
    weights = np.exp(scores)
    kept = _kept(weights, options)
    found[ids[kept]] = weights[kept] / weights[kept].sum()
    return found


def _kept(weights: Probabilities, options: SamplingOptions) -> Ids:
    """Places of those likely enough, likeliest first, one at least. Ties go to the lower id."""
    order = np.argsort(-weights, kind="stable")
    if options.top_p is not None:
        sums = weights[order].cumsum()
        order = order[: 1 + sums.searchsorted(options.top_p * sums[-1])]
    if options.min_p is not None:
        order = order[weights[order] >= options.min_p * weights[order[0]]]
    return order[: options.top_k]


def draw(distribution: Probabilities, rng: np.random.Generator) -> int:
    """One event, by inversion: exactly one random number an event, whatever the options."""
    cumulative = np.cumsum(distribution)
    point = rng.random() * cumulative[-1]
    drawn = int(cumulative.searchsorted(point, side="right"))
    return drawn if drawn < len(distribution) else _last(distribution)


def branched(rng: np.random.Generator) -> np.random.Generator:
    """Other random numbers, which follow from where these stand, and move them on."""
    key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _last(distribution: Probabilities) -> int:
    return int(np.flatnonzero(distribution)[-1])


def variation_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of variation `index`; no other variation shares or moves them."""
    return np.random.Generator(np.random.Philox(key=[seed, index]))
