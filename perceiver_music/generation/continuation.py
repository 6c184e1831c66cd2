"""New events after an opening, one by one, until the length that was asked for, or an ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perceiver_music.generation.ending import EndingSearch
from perceiver_music.generation.growth import Continuation, Growth
from perceiver_music.generation.joining import JoiningSearch
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening

if TYPE_CHECKING:
    from perceiver_music.model.decoding import Decoder


def continue_events(
    model: Decoder,
    opening: Opening,
    *,
    limits: Limits,
    sampling: SamplingOptions,
    rng: np.random.Generator,
    context: int | None = None,
    latents: int | None = None,
    starts_at_once: bool = False,
    winds_down_from: float | None = None,
) -> Iterator[Continuation]:
    """Draw event after event; the music so far is given after each, and once at the end.

    See `Growth` for the arguments.

    Raises:
        NonFiniteError: the model's prediction is not finite.
        ValueError: `context` and `latents` do not fit together.
    """
    growth = Growth(
        opening,
        limits=limits,
        sampling=sampling,
        rng=rng,
        starts_at_once=starts_at_once,
        winds_down_from=winds_down_from,
    )
    state = model.begin(opening.tokens, context=context, latents=latents)
    while not growth.is_long_enough:
        if growth.is_to_end:
            for _ in _find_end(model, growth, state):
                yield growth.music
            break
        token = growth.choose(state.logits)
        growth.take(token)
        yield growth.music
        if not growth.is_long_enough:
            model.advance(state, token)
    growth.close()
    yield growth.music


def continue_together(
    model: Decoder,
    pieces: Sequence[tuple[Opening, Growth]],
    *,
    context: int | None = None,
    latents: int | None = None,
) -> Iterator[Growth]:
    """Grow many continuations side by side; each is given after each event and once closed.

    None depends on the others: each is what `continue_events` would have made of it.

    Args:
        model: what predicts.
        pieces: each continuation with what it starts from; many may start from the same.
        context: see `Decoder.begin`.
        latents: the same.

    Raises:
        NonFiniteError: a prediction is not finite.
        ValueError: `context` and `latents` do not fit together.
    """
    primers = [opening.tokens for opening, _ in pieces]
    states = model.begin_many(primers, context=context, latents=latents)
    growing = [(growth, state) for (_, growth), state in zip(pieces, states, strict=True)]
    while growing:
        going_on: list[tuple[Growth, Any]] = []
        tokens = []
        for growth, state in growing:
            if growth.is_to_end:
                yield from _find_end(model, growth, state)
            else:
                token = growth.choose(state.logits)
                growth.take(token)
                yield growth
            if growth.music.ended or growth.is_long_enough:
                growth.close()
                yield growth
            else:
                going_on.append((growth, state))
                tokens.append(token)
        model.advance_many([state for _, state in going_on], tokens)
        growing = going_on


def _find_end(model: Decoder, growth: Growth, state: Any) -> Iterator[Growth]:
    """Make the last part; the piece is given again and again while it is looked for."""
    search: EndingSearch | JoiningSearch
    if growth.after:
        search = JoiningSearch(model, growth, state)
    else:
        search = EndingSearch(model, growth, state)
    for leading in search.rounds():
        growth.music.tried = leading.music
        yield growth
    growth.become(search.chosen)
