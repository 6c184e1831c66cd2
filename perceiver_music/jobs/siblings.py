"""Variations of one primer, decoded side by side: the primer is read once, and so is each weight.

None depends on its company, so a variation is the same piece whether its siblings are there or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from perceiver_music.jobs.continuation_request import ContinueRequest

if TYPE_CHECKING:
    from perceiver_music.generation.continuation import Continuation
    from perceiver_music.generation.limits import Limits
    from perceiver_music.generation.primer import Opening
    from perceiver_music.model.decoding import Decoder

MOST_TOGETHER: Final = 16


class Made(NamedTuple):
    """Music, and how long it took: of several made together each has its share."""

    music: Continuation
    seconds: float


class Siblings:
    """What has been announced, and what of it is made already."""

    def __init__(self) -> None:
        self._announced: list[ContinueRequest] = []
        self._made: dict[tuple[ContinueRequest, int], Made] = {}

    def announce(self, requests: Sequence[ContinueRequest]) -> None:
        """Say what will be asked for soon."""
        self._announced += requests

    def of(self, request: ContinueRequest) -> list[ContinueRequest]:
        """The request, and those announced after it that differ from it by their number alone."""
        family = _family(request)
        others = [
            other
            for other in self._announced
            if _family(other) == family and other.index > request.index
        ]
        return [request, *others[: MOST_TOGETHER - 1]]

    def take(self, request: ContinueRequest) -> Made | None:
        """The music of a request that a sibling of it has brought along."""
        return self._made.pop((_family(request), request.index), None)

    def make(
        self,
        requests: Sequence[ContinueRequest],
        decoder: Decoder,
        opening: Opening,
        limits: Limits,
        *,
        context: int,
        latents: int,
        on_music: Callable[[Continuation], None],
    ) -> Made:
        """Decode them together, keep all but the first, and give that one back.

        Raises:
            NonFiniteError: the model's prediction is not a number.
        """
        from perceiver_music.generation.continuation import Growth, continue_together
        from perceiver_music.generation.sampling import variation_rng

        growths = [
            Growth(
                opening,
                limits=limits,
                sampling=request.sampling,
                rng=variation_rng(request.seed, request.index),
            )
            for request in requests
        ]
        together = [(opening, growths)]
        started = time.perf_counter()
        for growth in continue_together(decoder, together, context=context, latents=latents):
            if growth is growths[0]:
                on_music(growth.music)
        for request, growth in zip(requests, growths, strict=True):
            seconds = (time.perf_counter() - started) / len(requests)
            self._made[_family(request), request.index] = Made(growth.music, seconds)
        first = self.take(requests[0])
        assert first is not None
        return first


def _family(request: ContinueRequest) -> ContinueRequest:
    return replace(request, index=1, output=None)
