"""The first events of held-out pieces as openings to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.grammar import MAX_HELD_STEPS
from perceiver_music.generation.primer import EMPTY_OPENING, Opening
from perceiver_music.tokenizer import vocabulary as v

Piece = TypeVar("Piece")


def spread(pieces: Sequence[Piece], number: int) -> list[Piece]:
    """So many pieces, spread evenly over a split; all of them when there are no more."""
    chosen = np.linspace(0, len(pieces) - 1, min(number, len(pieces))).round().astype(int)
    return [pieces[index] for index in chosen]


def opening_from_ids(ids: list[int]) -> Opening:
    """The events, open at their end; a key that sounds there is let go within its time."""
    step, since, velocity_bin = 0, {}, None
    for token in ids:
        kind, value = v.describe(token)
        if kind == "TIME_SHIFT":
            step += value
        elif kind == "NOTE_ON":
            since[value] = step
        elif kind == "NOTE_OFF":
            since.pop(value, None)
        elif kind == "VELOCITY":
            velocity_bin = token - v.VELOCITY
    left = {pitch: max(1, start + MAX_HELD_STEPS - step) for pitch, start in since.items()}
    return Opening(tokens=(v.BOS, *ids), sounding=left, velocity_bin=velocity_bin)


def mixed_openings(
    store: TokenStore, split: str, number: int, *, num_events: int
) -> list[tuple[str, Opening]]:
    """By turns nothing, and the first events of a piece of the split, each with its name."""
    pieces = spread(store.split(split), (number + 1) // 2)
    found: list[tuple[str, Opening]] = []
    for index in range(number):
        piece = pieces[index // 2 % len(pieces)]
        if index % 2:
            found.append(("nothing", EMPTY_OPENING))
        else:
            ids = [int(token) for token in store.ids(piece)[:num_events]]
            found.append((piece.path, opening_from_ids(ids)))
    return found
