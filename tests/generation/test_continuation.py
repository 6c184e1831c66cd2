"""New events after openings of exactly so many events, around the sizes that decoding turns on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.growth import Continuation
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import (
    EMPTY_OPENING,
    Opening,
    PedalInForce,
    Window,
    opening_of,
)
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import build_from_preset
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, NoteArray, Performance
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.pedal_events import PEDAL
from perceiver_music.tokenizer.performance_events import decode, encode, encode_notes

CONTEXT, LATENTS = 64, 16
SIZES = (0, 1, 10, LATENTS - 1, LATENTS, LATENTS + 1, 3 * CONTEXT)


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    torch.manual_seed(0)
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": CONTEXT, "latents": LATENTS}
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    torch.nn.init.normal_(model.get_parameter("output.weight"), std=0.2)
    return model.eval()


def opening_of_size(num_events: int) -> Opening:
    """A scale of eighty notes that hang over into one another, cut after so many events."""
    if num_events == 0:
        return EMPTY_OPENING
    scale = [v.VELOCITY + 16]
    for i in range(80):
        scale += [v.NOTE_ON + 40 + i % 12, v.TIME_SHIFT + 19]
        scale += [v.NOTE_OFF + 40 + (i - 1) % 12] * (i > 0)
    events = scale[:num_events]
    sounding: dict[int, int] = {}
    for token in events:
        if v.NOTE_ON <= token < v.NOTE_OFF:
            sounding[token - v.NOTE_ON] = 30
        elif v.NOTE_OFF <= token < v.TIME_SHIFT:
            del sounding[token - v.NOTE_OFF]
    return Opening(tokens=(v.BOS, *events), sounding=sounding, velocity_bin=16)


def last_of(model: SequenceModel, opening: Opening, num_events: int) -> Continuation:
    *_, music = continue_events(
        model,
        opening,
        limits=Limits(num_events=num_events),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
    )
    return music


@pytest.mark.parametrize("num_events", SIZES)
def test_an_opening_of_any_size_goes_on(model: SequenceModel, num_events: int) -> None:
    opening = opening_of_size(num_events)
    assert opening.num_events == num_events
    music = last_of(model, opening, 150)
    assert (len(music.ids), music.ended) == (150, "length")
    assert set(music.released) == set(opening.sounding)
    # The new notes alone, without the releases that belong to the opening, are our encoder's own.
    touch = opening.velocity_bin
    new, held = [] if touch is None else [v.VELOCITY + touch], set(opening.sounding)
    for token in (*music.ids, *music.closing):
        if token - v.NOTE_OFF in held:
            held.remove(token - v.NOTE_OFF)
        else:
            new.append(token)
    performance = decode(np.array(new, dtype=np.uint16))
    assert performance.num_notes == music.num_notes > 0
    again = decode(encode(performance))
    assert np.array_equal(again.notes, performance.notes)


class Scripted:
    """A decoder that plays what it is told to, over and over, whatever it has heard."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    def begin(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(place=0, logits=self._logits(0))

    def advance(self, state: SimpleNamespace, token: int) -> None:
        state.place += 1
        state.logits = self._logits(state.place)

    def _logits(self, place: int) -> np.ndarray:
        logits = np.zeros(v.PEDAL.size)
        logits[self._tokens[place % len(self._tokens)]] = 50.0
        return logits


def scripted(
    tokens: list[int], opening: Opening, *, starts_at_once: bool = False, end_step: int = 300
) -> Continuation:
    *_, music = continue_events(
        Scripted(tokens),  # type: ignore[arg-type]
        opening,
        limits=Limits(end_step=end_step),
        sampling=SamplingOptions(),
        rng=variation_rng(1, 1),
        starts_at_once=starts_at_once,
    )
    return music


PEDAL_OPENING = Opening(
    tokens=(v.PEDAL.bos,),
    sounding={},
    velocity_bin=None,
    pedal=PedalInForce(value=0, lift_step=None),
)


def test_silence_before_the_first_note_is_left_out() -> None:
    rest = [v.TIME_SHIFT + 99, v.TIME_SHIFT + 49]
    note = [v.VELOCITY + 16, v.NOTE_ON + 60, v.TIME_SHIFT + 49, v.NOTE_OFF + 60]
    again = [v.TIME_SHIFT + 99, v.TIME_SHIFT + 99, v.TIME_SHIFT + 49]  # a rest after it is music
    played = [*rest, *note, *again]
    music = scripted(played, PEDAL_OPENING, starts_at_once=True)
    assert (music.ids, music.step, music.num_notes) == ([*note, *again], 300, 1)
    music = scripted(played, PEDAL_OPENING, starts_at_once=False)
    assert (music.ids, music.step, music.num_notes) == ([*rest, *note, again[0]], 300, 1)


def test_silence_ends_though_it_is_left_out() -> None:
    shift = v.TIME_SHIFT + 99
    music = scripted([PEDAL + 127, shift, PEDAL, shift], PEDAL_OPENING, starts_at_once=True)
    assert music.num_notes > 0
    assert music.step == 300


def test_of_the_first_time_only_what_lies_after_the_opening_is_music() -> None:
    note = [v.VELOCITY + 16, v.NOTE_ON + 60, v.TIME_SHIFT + 99, v.NOTE_OFF + 60]
    opening = replace(PEDAL_OPENING, waited=30)
    for first, of_it in ((80, [v.TIME_SHIFT + 49]), (30, [])):
        music = scripted([v.TIME_SHIFT + first - 1, *note], opening, starts_at_once=False)
        assert music.ids[: len(of_it) + 4] == [*of_it, *note]
        assert music.step == 300
    music = scripted([v.TIME_SHIFT + 79, *note], opening, starts_at_once=True)
    assert music.ids[:4] == note


def random_notes(rng: np.random.Generator, count: int) -> NoteArray:
    notes = np.zeros(count, dtype=NOTE_DTYPE)
    notes["start_us"] = np.cumsum(rng.choice([0, 10, 70, 350, 1300, 2600], count)) * 1000
    notes["end_us"] = notes["start_us"] + rng.integers(2, 200, count) * 10_000
    notes["pitch"] = 21 + np.arange(count) % 88
    notes["velocity"] = rng.integers(1, 128, count)
    return notes


@pytest.mark.parametrize("seed", range(20))
def test_what_pianists_play_next_may_come_next(seed: int) -> None:
    """Tokens of a cut piece are those of the whole up to there: nothing tells of the cut."""
    rng = np.random.default_rng(seed)
    performance = Performance(random_notes(rng, 60), np.zeros(0, dtype=PEDAL_DTYPE))
    whole = encode_notes(performance.notes).tolist()
    cut_us = int(rng.integers(1, performance.end_us // 10_000)) * 10_000
    opening = opening_of(performance, Window(from_us=0, to_us=cut_us))
    shown = list(opening.tokens[1:])
    assert shown == whole[: len(shown)]
    grammar = Grammar(opening.sounding, velocity_bin=opening.velocity_bin, waited=opening.waited)
    assert grammar.allowed()[whole[len(shown)]]
    assert sum(t - v.TIME_SHIFT + 1 for t in opening.before if is_time(t)) == cut_us // 10_000


def is_time(token: int) -> bool:
    return v.TIME_SHIFT <= token < v.VELOCITY


SHIFT = v.TIME_SHIFT + 99
PLAYED = (v.PEDAL.bos, v.VELOCITY + 16, v.NOTE_ON + 60, SHIFT, v.NOTE_OFF + 60)
ENDED = replace(PEDAL_OPENING, tokens=PLAYED, velocity_bin=16)
NOTE = [v.NOTE_ON + 64, v.TIME_SHIFT + 49, v.NOTE_OFF + 64]


def test_what_follows_a_primer_that_has_ended_waits_for_a_breath_only() -> None:
    endless = [SHIFT] * 4 + NOTE
    music = scripted(endless, ENDED, end_step=500)
    assert music.ids[:5] == [SHIFT, SHIFT, *NOTE]
    assert music.ids[5:9] == [SHIFT, SHIFT, v.TIME_SHIFT + 49]  # a rest within it stays
    assert music.step == 500
    short = [SHIFT, v.TIME_SHIFT + 59, *NOTE]
    assert scripted(short, ENDED, end_step=500).ids[:5] == short
    # A key that sounds on is no silence; that begins when it is let go.
    held = replace(ENDED, tokens=PLAYED[:-1], sounding={60: 50})
    told = [v.TIME_SHIFT + 49, v.NOTE_OFF + 60, *[SHIFT] * 3, *NOTE]
    assert scripted(told, held, end_step=700).ids[:7] == told[:4] + NOTE


@pytest.mark.parametrize("end_step", [200, 201, 205, 208, 230, 300])
def test_a_breath_at_the_very_end_goes_on_to_it(end_step: int) -> None:
    music = scripted([SHIFT] * 4 + NOTE, ENDED, end_step=end_step)
    assert (music.step, music.ended) == (end_step, "length")
