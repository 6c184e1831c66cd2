"""From logits to an event: temperature, cuts, one draw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import NonFiniteError
from perceiver_music.generation.options import SamplingOptions

Probabilities = npt.NDArray[np.float64]


def probabilities(
    logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_], options: SamplingOptions
) -> Probabilities:
    """The distribution to draw from, `[vocabulary]`, zero where not allowed.

    The grammar comes first, so that the cuts choose among events that can be.

    Raises:
        NonFiniteError: the logits are not numbers.
    """
    if not np.isfinite(logits).all():
        raise NonFiniteError(
            "the model's prediction is not finite",
            hint="The checkpoint may be damaged: try `perceiver-music models verify`.",
        )
    scores = np.where(allowed, logits.astype(np.float64), -np.inf)
    if options.temperature == 0.0:
        certain = np.zeros_like(scores)
        certain[int(scores.argmax())] = 1.0
        return certain
    with np.errstate(over="ignore"):  # the coldest divide by next to nothing
        scaled = (scores - scores.max()) / options.temperature
    weights = np.exp(scaled)
    weights[_cut(weights, options)] = 0.0
    return weights / weights.sum()


def _cut(weights: Probabilities, options: SamplingOptions) -> npt.NDArray[np.bool_]:
    """Which events are too unlikely; the likeliest never is. Ties go to the lower id."""
    is_cut = np.zeros(len(weights), dtype=np.bool_)
    if options.min_p is not None:
        is_cut |= weights < options.min_p * weights.max()
    if options.top_k is None and options.top_p is None:
        return is_cut
    order = np.argsort(-weights, kind="stable")
    if options.top_k is not None:
        is_cut[order[options.top_k :]] = True
    if options.top_p is not None:
        before = np.concatenate(([0.0], np.cumsum(weights[order])[:-1]))
        is_cut[order[before >= options.top_p * weights.sum()]] = True
    return is_cut


def draw(distribution: Probabilities, rng: np.random.Generator) -> int:
    """One event, by inversion: exactly one random number an event, whatever the options."""
    cumulative = np.cumsum(distribution)
    point = rng.random() * cumulative[-1]
    return int(np.searchsorted(cumulative, point, side="right").clip(max=_last(distribution)))


def branched(rng: np.random.Generator) -> np.random.Generator:
    """Other random numbers, which follow from where these stand, and move them on."""
    key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _last(distribution: Probabilities) -> int:
    return int(np.flatnonzero(distribution)[-1])


def variation_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of variation `index`; no other variation shares or moves them."""
    return np.random.Generator(np.random.Philox(key=[seed, index]))
