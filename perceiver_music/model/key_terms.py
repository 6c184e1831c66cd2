"""What a model is told of one key's age: numbers that a linear layer can make use of."""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LOG_SECONDS = 0.05
_HELD_SECONDS = (0.1, 0.4, 1.6, 6.4)
_STRUCK_SECONDS = (0.15, 0.6, 2.5, 10.0)

NUM_HELD_TERMS = 2 + len(_HELD_SECONDS)
NUM_STRUCK_TERMS = 1 + len(_STRUCK_SECONDS)
NUM_TERMS = NUM_HELD_TERMS + NUM_STRUCK_TERMS


def key_terms(
    age: Float[Tensor, "*keys"], is_held: Bool[Tensor, "*keys"], is_struck: Bool[Tensor, "*keys"]
) -> Float[Tensor, "*keys terms"]:
    """`NUM_TERMS` numbers of each key that was struck `age` seconds ago: see `EventState.keys`."""
    terms = torch.exp(age[..., None] / _divisors(age.device))
    terms[..., 1] = torch.log1p(age / _LOG_SECONDS) / 4.0
    terms[..., :NUM_HELD_TERMS] *= is_held[..., None]
    terms[..., NUM_HELD_TERMS:] *= is_struck[..., None]
    return terms


@cache
def _divisors(device: torch.device) -> Float[Tensor, " terms"]:
    """Of the age in each term's exponent; that of a 1 is infinite."""
    held = [math.inf, math.inf, *(-seconds for seconds in _HELD_SECONDS)]
    struck = [math.inf, *(-seconds for seconds in _STRUCK_SECONDS)]
    with torch.inference_mode(False):  # what is kept must serve training too
        return torch.tensor(held + struck, device=device)
