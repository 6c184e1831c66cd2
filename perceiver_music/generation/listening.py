"""Events that are given, not drawn, and what a model says of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perceiver_music.model.decoding import Decoder


def heard_side_by_side(
    decoder: Decoder, states: Sequence[Any], events: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int]]:
    """Append to each decode its own events, of all decodes at a time.

    Yields:
        which decode, and the event that comes next, which its logits still predict.
    """
    for place in range(max(map(len, events), default=0)):
        going_on = [which for which, own in enumerate(events) if place < len(own)]
        tokens = [events[which][place] for which in going_on]
        yield from zip(going_on, tokens, strict=True)
        decoder.advance_many([states[which] for which in going_on], tokens)
