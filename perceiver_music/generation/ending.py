"""`--ending`: how a piece is brought to its end inside its length.

A model that was not told that the end is near does not prepare it, and an end that is forced on it
sounds like a cut. So the last part is looked for, not merely drawn:

1. Where the last part begins, twelve players go on from the same music, each by its own random
   numbers, and all more and more towards the tonic of its key.
2. Wherever one of them has struck a key and time goes on, the piece might end. What would it be
   like if this chord rang out, was let go, and nothing followed? The model says how likely that
   is: that no key is struck while the chord rings, and then its own EOS. A chord of the key's
   tonic counts for more (`last_chord.py`).
3. Four times on the way the two players that have found the best ends go on in the place of all.

The best end that was found is taken: nothing is cut.
This is sequential Monte Carlo with a lookahead (arXiv 1302.5206), made greedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.last_chord import LET_GO_STEPS, LastChord, LastChords
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.sampling import as_numpy, branched, log_probabilities, waiting
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import shift_ids

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Growth
    from perceiver_music.model.decoding import Decoder

NUM_PLAYERS: Final = 12
NUM_KEPT: Final = 2
NUM_ROUNDS: Final = 6
FIRST_ROUND: Final = 1
"""In the rounds before it no end is looked for."""
SHORTEST_RING_STEPS, LONGEST_RING_STEPS = 180, 320
"""How long the last chord rings, drawn evenly; half of MAESTRO's last chords do so for 1.4 to 5.4
seconds."""

_LAST_PART = {"steps": 15 * v.STEPS_PER_SECOND, "events": 600, "notes": 150}
_LARGEST_LAST_PART = 0.6
_LARGEST_RING = 0.4
"""Of the last part."""
_LEAN = 2.0
"""Nats, in the last round, for each key of the tonic's triad, and as many more for its root in the
bass: players that have moved to another key find back in time."""
_EOS_WEIGHT = 0.5
"""EOS is met once in a piece, and what a model says of it is rougher than of other events."""


def last_part_begins(limits: Limits) -> float:
    """The progress at which the last part begins, 0 to 1; 1 where there is no limit."""
    shares = [_LAST_PART[unit] / total for unit, total in limits.totals().items()]
    return 1.0 - min(_LARGEST_LAST_PART, max(shares, default=0.0))


@dataclass
class _Player:
    growth: Growth
    state: Any
    has_struck: bool = False
    nearest: float = -np.inf
    """How likely the likeliest end of this round seemed at first sight."""
    value: float = -np.inf
    """How good the best end of this round was."""


class EndingSearch:
    """Looks for the end of one piece.

    Args:
        decoder: what predicts.
        growth: the piece up to its last part.
        state: its decode.
    """

    def __init__(self, decoder: Decoder, growth: Growth, state: Any) -> None:
        self._decoder = decoder
        self._begins = growth.progress
        self._rng = growth.rng
        self._ring = int(self._rng.integers(SHORTEST_RING_STEPS, LONGEST_RING_STEPS + 1))
        if growth.end_step is not None:
            longest = int(_LARGEST_RING * (growth.end_step - growth.music.step))
            self._ring = max(1, min(self._ring, longest))
        self._last_chords = LastChords(growth.tokens, self._ring)
        self._leaning = _LEAN * self._last_chords.tonic.leaning()
        self._share = 0.0
        self._num_before = len(growth.music.ids)
        self._players = [self._branch(growth, state) for _ in range(NUM_PLAYERS)]
        self._score = -np.inf
        self.found: Growth | None = None
        """The piece with its end; None where no key was struck that could be the last."""

    def _branch(self, growth: Growth, state: Any) -> _Player:
        return _Player(growth.branch(branched(self._rng)).set_free(), self._decoder.branch(state))

    @property
    def chosen(self) -> Growth:
        """The piece with its end, or as it is without one."""
        return self.found or self._players[0].growth

    def rounds(self) -> Iterator[Growth]:
        """Look for it; after each event of all players one of them is given."""
        for number in range(NUM_ROUNDS):
            share = (number + 1) / NUM_ROUNDS
            self._share = number / (NUM_ROUNDS - 1)
            last = self._begins + share * (1.0 - self._begins)
            for player in self._players:
                player.nearest = player.value = -np.inf
            while playing := [p for p in self._players if p.growth.progress < min(last, 1.0)]:
                tokens = [self._draw(p, may_end=number >= FIRST_ROUND) for p in playing]
                self._decoder.advance_many([p.state for p in playing], tokens)
                yield playing[0].growth
            if share < 1.0:
                self._keep_the_best()

    def _draw(self, player: _Player, *, may_end: bool) -> int:
        growth = player.growth
        token = growth.choose(self._leant(player.state.logits))
        is_time = v.TIME_SHIFT <= token < v.VELOCITY
        if is_time and player.has_struck and may_end:
            self._consider(player)
        player.has_struck = v.NOTE_ON <= token < v.NOTE_OFF
        growth.take(token)
        return token

    def _leant(self, logits: Any) -> npt.NDArray[np.floating]:
        """The prediction with a pull towards the tonic, which grows from round to round."""
        leant = as_numpy(logits).copy()
        leant[v.NOTE_ON : v.NOTE_OFF] += self._share * self._leaning
        return leant

    def _consider(self, player: _Player) -> None:
        """Whether the piece might end with what was just struck; the likelier are tried."""
        growth = player.growth
        if growth.end_step is not None and growth.music.step + self._ring > growth.end_step:
            return
        played = growth.music.ids[self._num_before :]
        chord = self._last_chords.at(growth.music.step, played, growth.deadlines)
        if chord is None:
            return
        first_sight = (
            waiting(log_probabilities(player.state.logits), LET_GO_STEPS) + chord.suits / 2
        )
        if first_sight <= player.nearest:
            return
        player.nearest = first_sight
        score = chord.suits + self._rings_out(player, chord)
        player.value = max(player.value, score)
        if score > self._score:
            self._score = score
            self.found = growth.branch(self._rng)
            self.found.ring_out(chord.ends)

    def _rings_out(self, player: _Player, chord: LastChord) -> float:
        """Log-probability that nothing is struck while the chord rings, and of EOS afterwards."""
        growth, state = player.growth, self._decoder.branch(player.state)
        likely = 0.0
        for token in closing_ids(chord.ends, growth.music.step):
            if v.TIME_SHIFT <= token < v.VELOCITY:
                likely += waiting(log_probabilities(state.logits), token - v.TIME_SHIFT + 1)
            self._decoder.advance(state, token)
        return likely + _EOS_WEIGHT * float(log_probabilities(state.logits)[growth.eos])

    def _keep_the_best(self) -> None:
        order = sorted(range(NUM_PLAYERS), key=lambda i: -self._players[i].value)
        if self._players[order[0]].value == -np.inf:
            return
        kept = [self._players[i] for i in order[:NUM_KEPT]]
        self._players = kept + [
            self._branch(kept[i % NUM_KEPT].growth, kept[i % NUM_KEPT].state)
            for i in range(NUM_PLAYERS - NUM_KEPT)
        ]


def closing_ids(ends: dict[int, int], step: int) -> list[int]:
    """NOTE_OFFs, and the time up to them, in the order in which keys are let go.

    Args:
        ends: pitch -> step.
        step: where the time begins.
    """
    ids: list[int] = []
    for pitch, end in sorted(ends.items(), key=lambda item: (item[1], item[0])):
        ids += [*shift_ids(max(0, end - step)).tolist(), v.NOTE_OFF + pitch]
        step = max(step, end)
    return ids
