"""How a filled gap goes over into the music behind it.

A model that is shown what follows a gap arrives there from the wrong place now and then: from
softer music that what follows cuts off, in another register, in another pulse. What it would find
likely afterwards says so, and what comes afterwards is known. So the last part is looked for, not
merely drawn: where it begins, some players go on from the same music, each by its own random
numbers, and the one is taken after which the first events behind the gap are likeliest, by the
same model as it goes on from them. (A lookahead to what is given, as in twisted sequential Monte
Carlo, arXiv 2404.17546, without its weights.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.generation.limits import Limits
from perceiver_music.generation.sampling import branched, log_probabilities
from perceiver_music.tokenizer import vocabulary as v

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Growth
    from perceiver_music.model.decoding import Decoder

NUM_PLAYERS: Final = 8
LAST_PART_STEPS: Final = 8 * v.STEPS_PER_SECOND
NUM_EVENTS_AFTER: Final = 32
"""More of them depend on what lies before the gap, not on what was made (docs/lab-book.md)."""
_MOST_HEARD: Final = 1024
_MOST_LATENTS: Final = 512
"""Of the predictions of what follows: they compare, and need not be as good as can be."""


def joint_begins(limits: Limits) -> float:
    """The progress at which the last part of a gap begins."""
    return 1.0 - min(1.0, LAST_PART_STEPS / max(1, limits.end_step or 1))


@dataclass
class _Player:
    growth: Growth
    state: Any


class JoiningSearch:
    """Looks for the last part of one gap.

    Args:
        decoder: what predicts.
        growth: the music up to that part.
        state: its decode.
    """

    def __init__(self, decoder: Decoder, growth: Growth, state: Any) -> None:
        self._decoder, self._after = decoder, growth.after
        self._players = [
            _Player(growth.branch(branched(growth.rng)), decoder.branch(state))
            for _ in range(NUM_PLAYERS)
        ]
        self.chosen: Growth = growth

    def rounds(self) -> Iterator[Growth]:
        """Look for it; after each event of all players one of them is given."""
        while playing := [p for p in self._players if not p.growth.is_long_enough]:
            tokens = [player.growth.choose(player.state.logits) for player in playing]
            for player, token in zip(playing, tokens, strict=True):
                player.growth.take(token)
            yield playing[0].growth
            self._decoder.advance_many([player.state for player in playing], tokens)
        growths = [player.growth for player in self._players]
        self._players.clear()  # so many decodes need memory
        self.chosen = max(growths, key=self._leads_on)

    def _leads_on(self, growth: Growth) -> float:
        """Log-probability of what follows the gap after this music."""
        heard = growth.tokens_up_to_end
        likely, state = 0.0, self._begin(heard)
        for token in without_known_velocity(heard, self._after):
            likely += float(log_probabilities(state.logits)[token])
            self._decoder.advance(state, token)
        return likely

    def _begin(self, heard: Sequence[int]) -> Any:
        room = max(2, min(_MOST_HEARD, self._decoder.context - len(self._after)))
        latents = max(2, min(_MOST_LATENTS, self._decoder.latents, room))
        return self._decoder.begin(heard[-room:], latents=latents)


def without_known_velocity(heard: Sequence[int], after: Sequence[int]) -> Sequence[int]:
    """`after` as it is encoded behind `heard`: a velocity that is in force is not said again."""
    velocities = (t for t in reversed(heard) if v.VELOCITY <= t < v.NUM_EVENT_IDS)
    in_force = next(velocities, None)
    first = next((i for i, t in enumerate(after) if v.VELOCITY <= t < v.NUM_EVENT_IDS), None)
    if first is None or after[first] != in_force:
        return after
    return [*after[:first], *after[first + 1 :]]
