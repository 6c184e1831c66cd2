"""How a filled gap goes over into the music behind it.

A model that is shown what follows a gap arrives there from the wrong place now and then: from
softer music that what follows cuts off, in another register, in another pulse. What it would find
likely afterwards says so, and what comes afterwards is known. So the last part is looked for, not
merely drawn: where it begins, some players go on from the same music, each by its own random
numbers, and the one is taken after which the first events behind the gap are likeliest, by the
same model as it goes on from them. Where hardly anything is played before the gap, it counts, too,
how like what follows the new music is. (A lookahead to what is given, as in twisted sequential
Monte Carlo, arXiv 2404.17546, without its weights.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.listening import heard_side_by_side
from perceiver_music.generation.primer import step_after
from perceiver_music.generation.sampling import branched, log_probabilities, waiting
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import shift_ids

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Growth
    from perceiver_music.model.decoding import Decoder

Floats = npt.NDArray[np.float64]

NUM_PLAYERS: Final = 8
NUM_EVENTS_AFTER: Final = 32
"""More of them depend on what lies before the gap, not on what was made (docs/lab-book.md)."""
_MOST_HEARD: Final = 1024
_MOST_LATENTS: Final = 512
"""Of the predictions of what follows: they compare, and need not be as good as can be."""


@dataclass
class _Player:
    growth: Growth
    state: Any


class JoiningSearch:
    """Looks for the last part of one gap.

    Args:
        decoder: what predicts.
        growth: the music up to that part.
        state: its decode, which one of the players goes on with.
    """

    def __init__(self, decoder: Decoder, growth: Growth, state: Any) -> None:
        self._decoder, self._after = decoder, growth.after
        others = [decoder.branch(state) for _ in range(NUM_PLAYERS - 1)]
        self._players = [
            _Player(growth.branch(branched(growth.rng)), decode) for decode in (state, *others)
        ]
        self.chosen: Growth = growth

    def rounds(self) -> Iterator[Growth]:
        """Look for it; after each event of all players one of them is given."""
        while playing := [p for p in self._players if not p.growth.is_long_enough]:
            self._play(playing)
            yield playing[0].growth
        growths = [player.growth for player in self._players]
        self._players.clear()  # so many decodes need memory
        self.chosen = growths[int(np.argmax(self._fitting(growths)))]

    def _play(self, players: Sequence[_Player]) -> None:
        tokens = [player.growth.choose(player.state.logits) for player in players]
        for player, token in zip(players, tokens, strict=True):
            player.growth.take(token)
        self._decoder.advance_many([player.state for player in players], tokens)

    def _fitting(self, growths: Sequence[Growth]) -> Floats:
        """Of each, how well it goes over into what follows the gap."""
        unlikeness = [growth.unlikeness for growth in growths]
        return self._leading_on(growths) - np.array(unlikeness)

    def _leading_on(self, growths: Sequence[Growth]) -> Floats:
        """Log-probability of what follows the gap after each, `[growths]`."""
        joints = [joined(growth.tokens_up_to_end, self._after) for growth in growths]
        states = self._begin([joint.heard for joint in joints])
        likely = np.zeros(len(joints))
        for which, (joint, state) in enumerate(zip(joints, states, strict=True)):
            if joint.waited:  # in the gap, which this is not about
                likely[which] -= waiting(log_probabilities(state.logits), joint.waited)
        for which, token in heard_side_by_side(
            self._decoder, states, [joint.after for joint in joints]
        ):
            likely[which] += log_probabilities(states[which].logits)[token]
        return likely

    def _begin(self, heard: Sequence[Sequence[int]]) -> list[Any]:
        context = min(self._decoder.context, _MOST_HEARD + NUM_EVENTS_AFTER)
        latents = min(self._decoder.latents, _MOST_LATENTS, context)
        last = max(1, context - NUM_EVENTS_AFTER)
        return self._decoder.begin_many(
            [tokens[-last:] for tokens in heard], context=context, latents=latents
        )


class Joint(NamedTuple):
    """Events up to the end of a gap and from there on, written as the encoder writes them.

    Attributes:
        heard: those up to it.
        after: those from there on, at least one.
        waited: so much of the first of them, a time, lies in the gap.
    """

    heard: list[int]
    after: list[int]
    waited: int


def joined(heard: Sequence[int], after: Sequence[int]) -> Joint:
    """Put both together: a velocity in force is not said again, and two times are one.

    Where the gap ends in the midst of a time, a model has never seen the rest of it behind what is
    no whole TIME_SHIFT, and would find it unlikely for that.
    """
    heard, after = list(heard), _without_known_velocity(heard, after)
    num_after = sum(1 for _ in takewhile(_is_time, after))
    num_heard = sum(1 for _ in takewhile(_is_time, reversed(heard)))
    if not num_after or not num_heard:
        return Joint(heard, after, 0)
    whole, waited = divmod(step_after(heard[-num_heard:]), v.MAX_SHIFT_STEPS)
    known = [*heard[:-num_heard], *shift_ids(whole * v.MAX_SHIFT_STEPS).tolist()]
    time = shift_ids(waited + step_after(after[:num_after])).tolist()
    return Joint(known, [*time, *after[num_after:]], waited)


def _without_known_velocity(heard: Sequence[int], after: Sequence[int]) -> list[int]:
    in_force = next((t for t in reversed(heard) if _is_velocity(t)), None)
    first = next((i for i, t in enumerate(after) if _is_velocity(t)), None)
    if first is None or after[first] != in_force:
        return list(after)
    return [*after[:first], *after[first + 1 :]]


def _is_time(token: int) -> bool:
    return v.TIME_SHIFT <= token < v.TIME_SHIFT + v.MAX_SHIFT_STEPS


def _is_velocity(token: int) -> bool:
    return v.VELOCITY <= token < v.NUM_EVENT_IDS
