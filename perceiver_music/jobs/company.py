"""Pieces decoded side by side, for one or many primers: each weight is read once for all of them.

None depends on its company, so a piece is the same whether the others are there or not.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.jobs.planned import Plan
from perceiver_music.processors import num_threads

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Continuation, Growth
    from perceiver_music.model.decoding import Decoder

MOST_TOGETHER: Final = max(8, num_threads())
"""Beyond that a thread gains nothing more, and the first piece comes later."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan, and what is to be said of its primer when its turn comes."""

    plan: Plan
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Made:
    """Music, and how long it took.

    Attributes:
        seconds: of several made together each has an even share.
        seconds_for_others: how much longer its own turn took for that; below 0 where it was made
            in the turn of another.
    """

    planned: Planned
    music: Continuation
    seconds: float
    seconds_for_others: float = 0.0


class Company:
    """What has been announced, and what of it is made already."""

    def __init__(self) -> None:
        self._announced: deque[ContinueRequest] = deque()
        self._num_announced: Counter[ContinueRequest] = Counter()
        self._made: dict[ContinueRequest, Made] = {}

    def announce(self, requests: Sequence[ContinueRequest]) -> None:
        """Say what will be asked for soon, in this order."""
        self._announced += requests
        self._num_announced.update(requests)

    def has(self, request: ContinueRequest) -> bool:
        """Whether that music is made, and was not taken yet."""
        return request in self._made

    def take(self, request: ContinueRequest) -> Made | None:
        """The music of a request that was made with one before it."""
        return self._made.pop(request, None)

    def after(
        self, request: ContinueRequest, plan: Callable[[ContinueRequest], Planned]
    ) -> list[Planned]:
        """Plans for what comes after a request; what cannot be planned says so in its turn.

        What was announced up to the request has had its turn.
        """
        if not self._num_announced[request]:
            return []
        self._forget_up_to(request)
        found: list[Planned] = []
        known = {request, *self._made}
        for other in self._announced:
            if len(found) == MOST_TOGETHER - 1:
                break
            if other in known:
                continue
            known.add(other)
            try:
                found.append(plan(other))
            except PerceiverMusicError:
                continue
        return found

    def _forget_up_to(self, request: ContinueRequest) -> None:
        passed = None
        while passed != request:
            passed = self._announced.popleft()
            self._num_announced[passed] -= 1

    def make(
        self,
        together: Sequence[Planned],
        decoder: Decoder,
        *,
        context: int,
        latents: int,
        on_music: Callable[[Continuation], None],
    ) -> Made:
        """Decode them together, keep all but the first, and give that one back.

        Interrupted, it keeps what is finished.

        Raises:
            NonFiniteError: the model's prediction is not a number.
        """
        from perceiver_music.generation.continuation import continue_together

        growths = [_growth(planned.plan) for planned in together]
        openings = [planned.plan.opening for planned in together]
        pieces = list(zip(openings, growths, strict=True))
        started = time.perf_counter()
        try:
            for growth in continue_together(decoder, pieces, context=context, latents=latents):
                if growth is growths[0]:
                    on_music(growth.music)
        finally:
            whole = time.perf_counter() - started
            share = whole / len(together)
            self._made |= {
                planned.plan.request: Made(
                    planned=planned, music=growth.music, seconds=share, seconds_for_others=-share
                )
                for planned, growth in zip(together, growths, strict=True)
                if growth.music.ended
            }
        made = self._made.pop(together[0].plan.request)
        return replace(made, seconds_for_others=whole - share)


def _growth(plan: Plan) -> Growth:
    from perceiver_music.generation.growth import Growth
    from perceiver_music.generation.sampling import variation_rng

    request = plan.request
    return Growth(
        plan.opening,
        limits=plan.limits,
        sampling=request.sampling,
        rng=variation_rng(request.seed, request.index),
        starts_at_once=plan.starts_at_once,
    )
