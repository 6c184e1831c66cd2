"""New events after an opening, one by one, until the length that was asked for, or an ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perceiver_music.generation.ending import Ending
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.loops import LoopGuard
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.pace import PaceKeeper
from perceiver_music.generation.pedal_grammar import PedalGrammar
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import draw, probabilities
from perceiver_music.tokenizer import vocabulary as v

if TYPE_CHECKING:
    from perceiver_music.model.decoding import Decoder

LAST_NOTE_STEPS = 50
"""How long the notes that sound at the end of the new music go on, at least."""


@dataclass
class Continuation:
    """New music while it grows.

    Attributes:
        ids: the events drawn, EOS not among them.
        released: pitch -> step, for the opening's notes that sounded on.
        ended: `length`, or `ending` when the model ended the piece; empty while it grows.
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


class Growth:
    """One continuation, grown event by event from predictions that somebody else makes.

    Args:
        opening: what it goes on from.
        limits: where it ends.
        sampling: how events are drawn.
        rng: its own random numbers.
        starts_at_once: leave out the silence before the first note, as recordings have it.
    """

    def __init__(
        self,
        opening: Opening,
        *,
        limits: Limits,
        sampling: SamplingOptions,
        rng: np.random.Generator,
        starts_at_once: bool = False,
    ) -> None:
        self.music = Continuation()
        self._opening, self._limits, self._sampling, self._rng = opening, limits, sampling, rng
        self._still_held = set(opening.sounding)
        self._grammar = _grammar(opening, limits)
        self._guard = LoopGuard()
        self._pace = PaceKeeper(opening.before)
        can_end = limits.is_ending_allowed and bool(limits.totals())
        self._ending = Ending(limits, opening.vocabulary) if can_end else None
        self._starts_at_once = starts_at_once

    def draw(self, logits: Any) -> int | None:
        """The next event, taken into the music; None when the model ends the piece here.

        Raises:
            NonFiniteError: the prediction is not finite.
        """
        music, grammar = self.music, self._grammar
        adjusted = self._adjusted(_as_numpy(logits))
        token = draw(probabilities(adjusted, grammar.allowed(), self._sampling), self._rng)
        if token == self._opening.vocabulary.eos:
            music.ended = "ending"
            return None
        if self._is_silence(token):
            grammar.skip(token)
            return token
        grammar.take(token)
        if token < v.VELOCITY:
            self._guard.take(token)
            self._pace.take(token)
        music.ids.append(token)
        music.step = grammar.step
        music.num_notes += v.NOTE_ON <= token < v.NOTE_ON + 128
        pitch = token - v.NOTE_OFF
        if pitch in self._still_held:
            self._still_held.remove(pitch)
            music.released[pitch] = grammar.step
        return token

    def _is_silence(self, token: int) -> bool:
        """Whether this is time before the first note, which is left out.

        The grammar sees to it that silence ends, left out or not.
        """
        is_time = v.TIME_SHIFT <= token < v.VELOCITY
        return self._starts_at_once and is_time and not self.music.num_notes

    def _adjusted(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """The prediction as the primer's pace, the guard and the wish to end would have it."""
        if self._sampling.keep_pace:
            logits = self._pace.adjusted(logits)
        if self._sampling.loop_guard:
            logits = self._guard.adjusted(logits)
            self.music.num_guarded += self._guard.is_acting
        if self._ending is not None:
            logits = self._ending.adjusted(logits, self._progress, self._grammar)
        return logits

    @property
    def _progress(self) -> float:
        """The share of its length that is there."""
        music = self.music
        return self._limits.progress(events=len(music.ids), notes=music.num_notes, steps=music.step)

    @property
    def is_long_enough(self) -> bool:
        """Whether one of its limits is reached."""
        return self._progress >= 1.0

    def close(self) -> None:
        """Release what sounds; the music is complete."""
        self.music.ended = self.music.ended or "length"
        _close(self.music, self._grammar, self._still_held, self._opening, self._limits)
        if isinstance(self._grammar, PedalGrammar):
            self.music.closing += self._grammar.lift()


def _grammar(opening: Opening, limits: Limits) -> Grammar:
    rules: dict[str, Any] = {
        "end_step": limits.end_step,
        "is_ending_allowed": limits.is_ending_allowed,
        "velocity_bin": opening.velocity_bin,
        "locked": opening.locked,
    }
    if opening.pedal is None:
        return Grammar(opening.sounding, **rules)
    return PedalGrammar(opening.sounding, pedal=opening.pedal, **rules)


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
) -> Iterator[Continuation]:
    """Draw event after event; the same growing object is given after each, and once at the end.

    See `Growth` for the arguments.

    Raises:
        NonFiniteError: the model's prediction is not finite.
        ValueError: `context` and `latents` do not fit together.
    """
    growth = Growth(
        opening, limits=limits, sampling=sampling, rng=rng, starts_at_once=starts_at_once
    )
    state = model.begin(opening.tokens, context=context, latents=latents)
    while not growth.is_long_enough:
        token = growth.draw(state.logits)
        if token is None:
            break
        yield growth.music
        if not growth.is_long_enough:
            model.advance(state, token)
    growth.close()
    yield growth.music


def continue_together(
    model: Decoder,
    openings: Sequence[tuple[Opening, Sequence[Growth]]],
    *,
    context: int | None = None,
    latents: int | None = None,
) -> Iterator[Growth]:
    """Grow many continuations side by side; each is given after each event and once closed.

    None depends on the others: each is what `continue_events` would have made of it.

    Args:
        model: what predicts.
        openings: each with the continuations that start from it.
        context: see `Decoder.begin`.
        latents: the same.

    Raises:
        NonFiniteError: a prediction is not finite.
        ValueError: `context` and `latents` do not fit together.
    """
    growing: list[tuple[Growth, Any]] = []
    for opening, growths in openings:
        states = model.begin_many(opening.tokens, len(growths), context=context, latents=latents)
        growing += zip(growths, states, strict=True)
    while growing:
        going_on: list[tuple[Growth, Any]] = []
        tokens = []
        for growth, state in growing:
            token = None if growth.is_long_enough else growth.draw(state.logits)
            if token is not None:
                yield growth
            if token is None or growth.is_long_enough:
                growth.close()
                yield growth
            else:
                going_on.append((growth, state))
                tokens.append(token)
        model.advance_many([state for _, state in going_on], tokens)
        growing = going_on


def _as_numpy(logits: Any) -> npt.NDArray[np.floating]:
    """Logits of numpy as they are, of torch from wherever they were computed."""
    return logits if isinstance(logits, np.ndarray) else logits.float().cpu().numpy()


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
    step = grammar.step
    for pitch, end in sorted(ends.items(), key=lambda item: (item[1], item[0])):
        while step < end:
            shift = min(v.MAX_SHIFT_STEPS, end - step)
            music.closing.append(v.TIME_SHIFT + shift - 1)
            step += shift
        music.closing.append(v.NOTE_OFF + pitch)
