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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.closing import closing_ids
from perceiver_music.generation.last_chord import LET_GO_STEPS, LastChord, LastChords
from perceiver_music.generation.listening import heard_side_by_side
from perceiver_music.generation.sampling import as_numpy, branched, log_probabilities, waiting
from perceiver_music.tokenizer import vocabulary as v

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

_LARGEST_RING = 0.4
"""Of the last part."""
_LEAN = 2.0
"""Nats, in the last round, for each key of the tonic's triad, and as many more for its root in the
bass: players that have moved to another key find back in time."""
_EOS_WEIGHT = 0.5
"""EOS is met once in a piece, and what a model says of it is rougher than of other events."""


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
                self._play(playing, may_end=number >= FIRST_ROUND)
                yield playing[0].growth
            if share < 1.0:
                self._keep_the_best()

    def _play(self, players: Sequence[_Player], *, may_end: bool) -> None:
        tokens = [player.growth.choose(self._leant(player.state.logits)) for player in players]
        if may_end:
            self._consider(
                player
                for player, token in zip(players, tokens, strict=True)
                if player.has_struck and v.TIME_SHIFT <= token < v.VELOCITY
            )
        for player, token in zip(players, tokens, strict=True):
            player.has_struck = v.NOTE_ON <= token < v.NOTE_OFF
            player.growth.take(token)
        self._decoder.advance_many([player.state for player in players], tokens)

    def _leant(self, logits: Any) -> npt.NDArray[np.floating]:
        """The prediction with a pull towards the tonic, which grows from round to round."""
        leant = as_numpy(logits).copy()
        leant[v.NOTE_ON : v.NOTE_OFF] += self._share * self._leaning
        return leant

    def _consider(self, players: Iterable[_Player]) -> None:
        """Whether the piece might end with what each just struck; the likelier are tried."""
        chords = [(player, self._promising_chord(player)) for player in players]
        ends = [(player, chord) for player, chord in chords if chord is not None]
        for (player, chord), rings_out in zip(ends, self._ringing_out(ends), strict=True):
            score = chord.suits + rings_out
            player.value = max(player.value, score)
            if score > self._score:
                self._score = score
                self.found = player.growth.branch(self._rng)
                self.found.ring_out(chord.ends)

    def _promising_chord(self, player: _Player) -> LastChord | None:
        """What was just struck, if it is likelier at first sight than all before it."""
        growth = player.growth
        if growth.end_step is not None and growth.music.step + self._ring > growth.end_step:
            return None
        played = growth.music.ids[self._num_before :]
        chord = self._last_chords.at(growth.music.step, played, growth.deadlines)
        if chord is None:
            return None
        first_sight = (
            waiting(log_probabilities(player.state.logits), LET_GO_STEPS) + chord.suits / 2
        )
        if first_sight <= player.nearest:
            return None
        player.nearest = first_sight
        return chord

    def _ringing_out(self, ends: Sequence[tuple[_Player, LastChord]]) -> list[float]:
        """Of each, log-probability that nothing is struck while it rings, and of EOS afterwards."""
        states = [self._decoder.branch(player.state) for player, _ in ends]
        closing = [closing_ids(chord.ends, player.growth.music.step) for player, chord in ends]
        likely = [0.0] * len(ends)
        for which, token in heard_side_by_side(self._decoder, states, closing):
            if v.TIME_SHIFT <= token < v.VELOCITY:
                steps = token - v.TIME_SHIFT + 1
                likely[which] += waiting(log_probabilities(states[which].logits), steps)
        return [
            nothing + _EOS_WEIGHT * float(log_probabilities(state.logits)[player.growth.eos])
            for nothing, state, (player, _) in zip(likely, states, ends, strict=True)
        ]

    def _keep_the_best(self) -> None:
        order = sorted(range(NUM_PLAYERS), key=lambda i: -self._players[i].value)
        if self._players[order[0]].value == -np.inf:
            return
        kept = [self._players[i] for i in order[:NUM_KEPT]]
        self._players = kept + [
            self._branch(kept[i % NUM_KEPT].growth, kept[i % NUM_KEPT].state)
            for i in range(NUM_PLAYERS - NUM_KEPT)
        ]
