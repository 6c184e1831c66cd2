"""A piece of new music while it grows; what comes next is predicted elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.closing import closing_ids
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.grid_keeper import GridKeeper
from perceiver_music.generation.keepers import Keepers
from perceiver_music.generation.last_part import ending_begins, joint_begins
from perceiver_music.generation.letting_go import LettingGo
from perceiver_music.generation.likeness import unlikeness
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.loops import LoopGuard
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.pedal_grammar import PedalGrammar, grammar_after
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.returning import LATEST_RETURN, Return, Returns
from perceiver_music.generation.sampling import as_numpy, choose
from perceiver_music.generation.winding_down import WindingDown
from perceiver_music.tokenizer import vocabulary as v

LAST_NOTE_STEPS = 50
"""How long the notes that sound at the end of the new music go on, at least."""
LAST_ONSET_IN_GAP_STEPS = 4
"""So near the end of a gap no key is struck: what sounds there rings on, and is no blip."""
LONGEST_BREATH_STEPS = 200
"""The longest silence between a primer that has ended and what follows. A model that strikes no key
within two seconds hardly ever does before a rest's limit: for it, that music is over."""


@dataclass
class Continuation:
    """New music while it grows.

    Attributes:
        ids: the events drawn.
        released: pitch -> step, for the opening's notes that sounded on.
        ended: `length`, or `ending` where an end was found; empty while it grows.
    """

    ids: list[int] = field(default_factory=list)
    released: dict[int, int] = field(default_factory=dict)
    num_notes: int = 0
    step: int = 0
    ended: str = ""
    num_guarded: int = 0
    """Events drawn while the guard against loops was acting."""
    closing: list[int] = field(default_factory=list)
    """NOTE_OFFs, and the time up to them, that close what still sounds; not drawn."""
    returns: list[Return] = field(default_factory=list)
    tried: Continuation | None = None
    """While an end is looked for: how the music might go on."""


class Growth:
    """One continuation, grown event by event from predictions that somebody else makes.

    Args:
        opening: what it goes on from.
        limits: where it ends.
        sampling: how events are drawn.
        rng: its own random numbers.
        starts_at_once: leave out the silence before the first note, as recordings have it.
        winds_down_from: the progress from which it is led to a stop, if it is.
    """

    def __init__(
        self,
        opening: Opening,
        *,
        limits: Limits,
        sampling: SamplingOptions,
        rng: np.random.Generator,
        starts_at_once: bool = False,
        winds_down_from: float | None = None,
    ) -> None:
        self.music = Continuation()
        self._opening, self._limits, self._sampling, self.rng = opening, limits, sampling, rng
        self._still_held = set(opening.sounding)
        self._waited = opening.waited
        # Where pedal is its own event, keys are not held by it.
        lets_go = sampling.let_go and opening.pedal is None
        self._letting_go = LettingGo(opening.around) if lets_go else None
        self._guard = LoopGuard()
        self._keepers = Keepers(opening, sampling)
        self._grid = GridKeeper(opening.grid, opening.vocabulary)
        rules: dict[str, Any] = {"may_wait_on": opening.grid is not None}
        if self.after:
            rules["last_onset_steps"] = LAST_ONSET_IN_GAP_STEPS
        if sampling.keep_moving and not opening.is_of_gap:
            rules["longest_wait"] = self._keepers.longest_wait
        self._grammar = grammar_after(opening, limits, **rules)
        self._returns = Returns.after(opening, sampling, rng)
        self.music.returns = self._returns.made
        self._last_part = 1.0
        if limits.is_ending_allowed:
            self._last_part = ending_begins(limits)
        elif self.after:
            self._last_part = joint_begins(limits)
        self._starts_at_once = starts_at_once
        self._follows = opening.has_notes and not opening.is_of_gap
        self._winding_down = (
            None if winds_down_from is None else WindingDown(opening.before, winds_down_from)
        )

    def branch(self, rng: np.random.Generator) -> Growth:
        """The same music, to go on by itself."""
        other = copy(self)
        other.rng = rng
        other.music = replace(
            self.music, ids=self.music.ids.copy(), released=self.music.released.copy()
        )
        other._still_held = self._still_held.copy()
        other._grammar, other._guard = deepcopy(self._grammar), deepcopy(self._guard)
        other._keepers, other._returns = deepcopy(self._keepers), self._returns.branch()
        other.music.returns = other._returns.made
        return other

    def set_free(self) -> Growth:
        """This one; nothing leads it back to its primer any longer."""
        self._keepers, self._returns = Keepers.of_nothing(), Returns(())
        self._grammar.longest_wait = None
        return self

    def choose(self, logits: Any) -> int:
        """Draw the next event; it is not yet part of the music.

        Raises:
            NonFiniteError: the prediction is not finite.
        """
        prediction, allowed = as_numpy(logits), self._grammar.allowed()
        has_room = self.progress < LATEST_RETURN * self._last_part
        allowed = self._returns.narrowed(allowed, prediction, has_room=has_room)
        adjusted = self._adjusted(prediction, allowed)
        return choose(adjusted, allowed, self._sampling, self.rng)

    def take(self, token: int) -> None:
        """Go on by an event."""
        music, grammar = self.music, self._grammar
        # Of the first event, a time, only what lies after the opening is part of the music.
        waited, self._waited = self._waited, 0
        if self._is_silence(token):
            grammar.skip(token)
            return
        grammar.take(token)
        if waited and not grammar.step:
            return
        token -= waited
        self._keepers.take(token)
        self._returns.take(token)
        if token < v.VELOCITY:
            self._guard.take(token)
        music.ids.append(token)
        music.step = grammar.step
        music.num_notes += v.NOTE_ON <= token < v.NOTE_ON + 128
        pitch = token - v.NOTE_OFF
        if pitch in self._still_held:
            self._still_held.remove(pitch)
            music.released[pitch] = grammar.step

    def _is_silence(self, token: int) -> bool:
        """Whether this is time before the first note, which is left out: all, or beyond a breath.

        The grammar sees to it that silence ends, left out or not.
        """
        if self.music.num_notes or not v.TIME_SHIFT <= token < v.VELOCITY:
            return False
        if self._starts_at_once:
            return True
        grammar = self._grammar
        rest = grammar.steps_since_event + token - v.TIME_SHIFT + 1
        can_end = grammar.is_silent and not grammar.is_too_late_to_strike
        return self._follows and can_end and rest > LONGEST_BREATH_STEPS

    def _adjusted(
        self, logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.floating]:
        """The prediction as the primer and the guard would have it."""
        grammar = self._grammar
        logits = self._keepers.adjusted(logits, allowed)
        if self._letting_go is not None:
            logits = self._letting_go.adjusted(logits, grammar.onset_step, grammar.step)
        if self._winding_down is not None:
            logits = self._winding_down.adjusted(logits, self.progress)
        if self._sampling.loop_guard:
            logits = self._guard.adjusted(logits)
            self.music.num_guarded += self._guard.is_acting
        return self._grid.adjusted(logits, allowed, grammar, self._waited)

    @property
    def progress(self) -> float:
        """The share of its length that is there."""
        music = self.music
        return self._limits.progress(events=len(music.ids), notes=music.num_notes, steps=music.step)

    @property
    def is_long_enough(self) -> bool:
        """Whether one of its limits is reached."""
        return self.progress >= 1.0

    @property
    def after(self) -> tuple[int, ...]:
        """The first events behind a gap, if it is to go over into them by more ways than one."""
        is_looked_for = self._sampling.keep_joint and not self._sampling.is_greedy
        return self._opening.after if is_looked_for else ()

    @property
    def unlikeness(self) -> float:
        """How unlike what follows a gap it is, in nats, where little else says how it is to be."""
        opening = self._opening
        if not opening.is_bare:
            return 0.0
        in_force = [] if opening.velocity_bin is None else [v.VELOCITY + opening.velocity_bin]
        return unlikeness(in_force + self.music.ids, opening.behind)

    @property
    def is_to_end(self) -> bool:
        """Whether it is time to look for an end, or for the last part of a gap."""
        return not self.music.ended and self._last_part <= self.progress < 1.0

    @property
    def end_step(self) -> int | None:
        """Where the music ends at latest, if that is a moment."""
        return self._limits.end_step

    @property
    def deadlines(self) -> Mapping[int, int]:
        """The keys that sound, and when they are let go at latest."""
        return self._grammar.deadline

    @property
    def eos(self) -> int:
        """EOS of its vocabulary."""
        return self._opening.vocabulary.eos

    @property
    def tokens(self) -> list[int]:
        """All events so far, those of the opening included."""
        return [*self._opening.before, *self.music.ids]

    @property
    def tokens_up_to_end(self) -> list[int]:
        """`tokens`, and the releases of all that does not sound on behind the gap."""
        locked = self._opening.locked
        return self.tokens + [v.NOTE_OFF + p for p in sorted(self.deadlines) if p not in locked]

    def become(self, other: Growth) -> None:
        """Take over what a branch has come to."""
        self.__dict__.update(other.__dict__)

    def ring_out(self, ends: Mapping[int, int]) -> None:
        """End the piece: each key that sounds is let go at its step."""
        music = self.music
        own = {pitch: end for pitch, end in ends.items() if pitch not in self._still_held}
        music.released |= {pitch: ends[pitch] for pitch in self._still_held}
        music.closing = closing_ids(own, music.step)
        music.ended = "ending"

    def close(self) -> None:
        """Release what sounds; the music is complete."""
        if not self.music.ended:
            self.music.ended = "length"
            _close(self.music, self._grammar, self._still_held, self._opening, self._limits)
        if isinstance(self._grammar, PedalGrammar):
            self.music.closing += self._grammar.lift()


def _close(
    music: Continuation,
    grammar: Grammar,
    still_held: set[int],
    opening: Opening,
    limits: Limits,
) -> None:
    """Release every key that sounds, in the order in which they end."""
    last = max(grammar.step, limits.end_step or 0)
    ends = {}
    for pitch, onset in grammar.onset_step.items():
        end = grammar.step if limits.end_step is not None else onset + LAST_NOTE_STEPS
        end = max(end, grammar.step, onset + 1)
        if pitch in still_held:
            music.released[pitch] = min(opening.sounding[pitch], max(last, 1))
        else:
            ends[pitch] = end
    music.closing = closing_ids(ends, grammar.step)
