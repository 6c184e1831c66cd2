"""New events after openings of exactly so many events, around the sizes that decoding turns on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.growth import Continuation
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import EMPTY_OPENING, Opening, PedalInForce
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import build_from_preset
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.pedal_events import PEDAL
from perceiver_music.tokenizer.performance_events import decode, encode

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


def scripted(tokens: list[int], opening: Opening, *, starts_at_once: bool) -> Continuation:
    *_, music = continue_events(
        Scripted(tokens),  # type: ignore[arg-type]
        opening,
        limits=Limits(end_step=300),
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
