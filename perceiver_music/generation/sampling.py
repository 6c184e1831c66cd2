"""From logits to an event: temperature, cuts, one draw.

Where something is due, such as the release of a key, time does not run on beyond it. What the model
gives to all longer times then goes to the longest that is left: nothing else happens until then.
Were it shared out among all that is allowed, music would hurry before everything that is due.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import NonFiniteError
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.tokenizer import vocabulary as v

Probabilities = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]

_TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
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
    found = np.zeros(len(logits))
    if options.temperature == 0.0:
        found[ids[logits[ids].argmax()]] = 1.0
        return found
    highest = float(logits[ids].max())
    temperature = max(options.temperature, _COLDEST)
    weights = np.exp((logits[ids].astype(np.float64) - highest) / temperature)
    longest = int(ids.searchsorted(_TIMES.stop)) - 1
    if longest >= 0 and _TIMES.start <= ids[longest] < _TIMES.stop - 1:
        longer = logits[ids[longest] + 1 : _TIMES.stop].astype(np.float64)
        _add_longer_times(weights, longest, (longer - highest) / temperature)
    kept = _kept(weights, options)
    found[ids[kept]] = weights[kept] / weights[kept].sum()
    return found


def _add_longer_times(
    weights: Probabilities, longest: int, longer: npt.NDArray[np.float64]
) -> None:
    """Add to the weight of the longest time that is allowed those of longer ones, from scores."""
    excess = max(0.0, float(longer.max()))
    weights *= np.exp(-excess)
    weights[longest] += np.exp(longer - excess).sum()


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
