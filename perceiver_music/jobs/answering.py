"""The machine of a duet: a checkpoint, and how answers are drawn from it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perceiver_music.generation.options import LARGEST_SEED
from perceiver_music.tokenizer.vocabulary import STEPS_PER_SECOND

if TYPE_CHECKING:
    from perceiver_music.jobs.duet_request import DuetRequest
    from perceiver_music.live.duet import Turn
    from perceiver_music.model.decoding import LoadedDecoder
    from perceiver_music.tokenizer.event_reader import Event


class Machine:
    """The one that answers: a checkpoint and how to draw from it."""

    def __init__(self, request: DuetRequest) -> None:
        from perceiver_music.jobs.continuation import open_session
        from perceiver_music.tokenizer.registry import get_tokenizer

        session = open_session(
            request.checkpoint,
            device=request.device,
            decoder=request.decoder,
            context=request.context,
            latents=request.latents,
        )
        self.loaded: LoadedDecoder = session.loaded
        self.seed = secrets.randbelow(LARGEST_SEED + 1) if request.seed is None else request.seed
        self.doubt = session.doubt
        self._context, self._latents = session.context, session.latents
        self._request = request
        self._tokenizer = get_tokenizer(self.loaded.description.tokenizer_name)

    def warm_up(self) -> None:
        """Draw one event for nobody: the first use of a network takes longer than any other."""
        from perceiver_music.generation.pedal_opening import opening_for
        from perceiver_music.generation.primer import Window

        next(self._events(opening_for(self._tokenizer, None, Window(from_us=0, to_us=0)), 0))

    def as_settings(self) -> dict[str, Any]:
        """What a file tells of it."""
        return {
            "seed": self.seed,
            "checkpoint": self.loaded.name,
            "checkpoint_sha256": self.loaded.sha256,
        }

    def answer(self, turn: Turn) -> Iterator[Event]:
        """The events of an answer, the releases at its end among them."""
        from perceiver_music.generation.pedal_opening import opening_for
        from perceiver_music.generation.primer import Window
        from perceiver_music.jobs.streaming import events_of
        from perceiver_music.live.closing import brought_to_a_stop
        from perceiver_music.music.sustain import apply_sustain

        # The pause asked for an answer; to the model it would be music that has slowed down.
        heard_until = min(turn.at_us, int(apply_sustain(turn.performance).end_us))
        window = Window(from_us=turn.from_us, to_us=max(heard_until, turn.from_us + 1))
        opening = opening_for(self._tokenizer, turn.performance, window)
        opening = replace(opening, reserved=dict.fromkeys(turn.held, 0))
        drawn = events_of(self._events(opening, turn.number), opening)
        yield from brought_to_a_stop(
            (event for event, _ in drawn), longest_seconds=self._request.answer_seconds
        )

    def _events(self, opening: Any, number: int) -> Iterator[Any]:
        from perceiver_music.generation.continuation import continue_events
        from perceiver_music.generation.limits import Limits
        from perceiver_music.generation.sampling import variation_rng
        from perceiver_music.live.closing import led_from

        request = self._request
        return continue_events(
            self.loaded.model,
            opening,
            limits=Limits(end_step=max(1, round(request.answer_seconds * STEPS_PER_SECOND))),
            sampling=request.sampling,
            rng=variation_rng(self.seed, number),
            context=self._context,
            latents=self._latents,
            starts_at_once=True,  # The player has waited long enough.
            winds_down_from=led_from(request.answer_seconds),
        )
