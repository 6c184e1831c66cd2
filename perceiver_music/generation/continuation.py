"""New events after an opening, one by one, until the length that was asked for, or an ending."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from perceiver_music.generation.ending import Ending
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.loops import LoopGuard
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.pedal_grammar import PedalGrammar
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import draw, probabilities
from perceiver_music.model.base import SequenceModel
from perceiver_music.tokenizer import vocabulary as v

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


def continue_events(
    model: SequenceModel,
    opening: Opening,
    *,
    limits: Limits,
    sampling: SamplingOptions,
    rng: np.random.Generator,
    context: int | None = None,
    latents: int | None = None,
) -> Iterator[Continuation]:
    """Draw event after event; the same growing object is given after each, and once at the end.

    Raises:
        NonFiniteError: the model's prediction is not finite.
        ValueError: `context` and `latents` do not fit together.
    """
    grammar = _grammar(opening, limits)
    music = Continuation()
    guard = LoopGuard()
    ending = None
    if limits.is_ending_allowed and limits.totals():
        ending = Ending(limits, opening.vocabulary)
    still_held = set(opening.sounding)
    state = model.begin(opening.tokens, context=context, latents=latents)
    while _progress(music, limits) < 1.0:
        logits = _as_numpy(state.logits)
        if sampling.loop_guard:
            logits = guard.adjusted(logits)
            music.num_guarded += guard.is_acting
        if ending is not None:
            logits = ending.adjusted(logits, _progress(music, limits))
        token = draw(probabilities(logits, grammar.allowed(), sampling), rng)
        if token == opening.vocabulary.eos:
            music.ended = "ending"
            break
        grammar.take(token)
        if token < v.VELOCITY:
            guard.take(token)
        music.ids.append(token)
        music.step = grammar.step
        music.num_notes += v.NOTE_ON <= token < v.NOTE_ON + 128
        pitch = token - v.NOTE_OFF
        if pitch in still_held:
            still_held.remove(pitch)
            music.released[pitch] = grammar.step
        yield music
        if _progress(music, limits) < 1.0:
            model.advance(state, token)
    music.ended = music.ended or "length"
    _close(music, grammar, still_held, opening, limits)
    if isinstance(grammar, PedalGrammar):
        music.closing += grammar.lift()
    yield music


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


def _as_numpy(logits: torch.Tensor) -> np.ndarray:
    return logits.float().cpu().numpy()


def _progress(music: Continuation, limits: Limits) -> float:
    return limits.progress(events=len(music.ids), notes=music.num_notes, steps=music.step)


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
