"""From logits to an event: temperature, cuts, one draw.

Where something is due, such as the release of a key, time does not run on beyond it. What the model
gives to all longer times then goes to the longest that is left: nothing else happens until then.
Were it shared out among all that is allowed, music would hurry before everything that is due.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import NonFiniteError
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.model.native.choosing import MOST_IDS
from perceiver_music.model.native.choosing import choose as native_choose
from perceiver_music.model.native.library import Draw
from perceiver_music.tokenizer import vocabulary as v

Probabilities = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]

_TIMES = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
_COLDEST = 1e-200
"""A lower temperature draws the same, and a division by it could overflow."""


def choose(
    logits: npt.NDArray[np.floating],
    allowed: npt.NDArray[np.bool_],
    options: SamplingOptions,
    rng: np.random.Generator,
) -> int:
    """One event, by inversion: exactly one random number an event, whatever the options.

    Raises:
        NonFiniteError: the logits are not numbers.
    """
    random = rng.random()
    drawn = native_choose(logits, allowed, _native_options(options), random)
    return choose_plainly(logits, allowed, options, random) if drawn is None else drawn


def choose_plainly(
    logits: npt.NDArray[np.floating],
    allowed: npt.NDArray[np.bool_],
    options: SamplingOptions,
    random: float,
) -> int:
    """`choose` in numpy, by a random number in [0, 1)."""
    ids, weights = _weighed(logits, allowed, options)
    cumulative = weights.cumsum()
    point = random * cumulative[-1]
    drawn = int(cumulative.searchsorted(point, side="right"))
    return int(ids[drawn] if drawn < len(ids) else ids[np.flatnonzero(weights)[-1]])


@lru_cache(maxsize=16)
def _native_options(options: SamplingOptions) -> Draw:
    return Draw(
        temperature=options.temperature,
        top_p=options.top_p or 0.0,
        min_p=options.min_p or 0.0,
        top_k=min(options.top_k or 0, MOST_IDS),
        first_time=_TIMES.start,
        past_times=_TIMES.stop,
    )


def probabilities(
    logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_], options: SamplingOptions
) -> Probabilities:
    """The distribution that `choose` draws from, `[vocabulary]`, zero where not allowed.

    Raises:
        NonFiniteError: the logits are not numbers.
    """
    ids, weights = _weighed(logits, allowed, options)
    found = np.zeros(len(logits))
    found[ids] = weights / weights.sum()
    return found


def _weighed(
    logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_], options: SamplingOptions
) -> tuple[Ids, Probabilities]:
    """The ids that are allowed, and their weights, zero for those that are cut.

    The grammar comes first, so that the cuts choose among events that can be.
    """
    if not math.isfinite(float(np.add.reduce(logits, dtype=np.float64))):
        raise NonFiniteError(
            "the model's prediction is not finite",
            hint="The checkpoint may be damaged: try `perceiver-music models verify`.",
        )
    ids = np.flatnonzero(allowed)
    weights = logits[ids].astype(np.float64)
    likeliest = int(weights.argmax())
    if options.temperature == 0.0:
        return ids[likeliest : likeliest + 1], np.ones(1)
    highest = float(weights[likeliest])
    temperature = max(options.temperature, _COLDEST)
    weights -= highest
    weights /= temperature
    np.exp(weights, out=weights)
    longest = int(ids.searchsorted(_TIMES.stop)) - 1
    if longest >= 0 and _TIMES.start <= ids[longest] < _TIMES.stop - 1:
        longer = logits[ids[longest] + 1 : _TIMES.stop].astype(np.float64)
        _add_longer_times(weights, longest, (longer - highest) / temperature)
    _cut(weights, options)
    return ids, weights


def _add_longer_times(
    weights: Probabilities, longest: int, longer: npt.NDArray[np.float64]
) -> None:
    """Add to the weight of the longest time that is allowed those of longer ones, from scores."""
    excess = max(0.0, float(longer.max()))
    weights *= np.exp(-excess)
    weights[longest] += np.exp(longer - excess).sum()


def _cut(weights: Probabilities, options: SamplingOptions) -> None:
    """Leave those likely enough, one at least; the others get zero. Ties go to the lower id."""
    falling = np.sort(weights)[::-1]
    count = len(falling)
    if options.top_p is not None:
        sums = falling.cumsum()
        count = min(count, 1 + int(sums.searchsorted(options.top_p * sums[-1])))
    if options.min_p is not None:
        count = min(count, int(np.count_nonzero(falling >= options.min_p * falling[0])))
    if options.top_k is not None:
        count = min(count, options.top_k)
    least = falling[count - 1]
    if count < len(falling) and falling[count] == least:
        tied = np.flatnonzero(weights == least)
        weights[tied[count - int(np.count_nonzero(falling > least)) :]] = 0.0
    weights[weights < least] = 0.0


def as_numpy(logits: Any) -> npt.NDArray[np.floating]:
    """Logits of numpy as they are, of torch from wherever they were computed."""
    return logits if isinstance(logits, np.ndarray) else logits.float().cpu().numpy()


def log_probabilities(logits: Any) -> npt.NDArray[np.float64]:
    """What logits `[vocabulary]`, of numpy or torch, say of every id."""
    scores = as_numpy(logits).astype(np.float64)
    return np.asarray(scores - np.logaddexp.reduce(scores))


def waiting(likely: npt.NDArray[np.float64], steps: int) -> float:
    """Of log-probabilities `[vocabulary]`: that next comes time, of so many steps or more."""
    return float(np.logaddexp.reduce(likely[v.TIME_SHIFT + steps - 1 : v.VELOCITY]))


def branched(rng: np.random.Generator) -> np.random.Generator:
    """Other random numbers, which follow from where these stand, and move them on."""
    key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def beside(rng: np.random.Generator) -> np.random.Generator:
    """Other random numbers, which leave these where they stand."""
    bits: Any = rng.bit_generator
    return np.random.Generator(bits.jumped())


def variation_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of variation `index`; no other variation shares or moves them."""
    return np.random.Generator(np.random.Philox(key=[seed, index]))
