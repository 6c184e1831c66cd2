"""Decoding with caches equals the uncached forward over the same window, at every length."""

import pytest
import torch

from perceiver_music.model.base import Anchor, SequenceModel
from perceiver_music.model.registry import ARCHITECTURES, build_from_preset

VOCABULARY, CONTEXT, LATENTS = 20, 32, 8
PRESETS = [(name, preset) for name, row in ARCHITECTURES.items() for preset in row.presets]
PRESETS.append(("perceiver_ar", "events"))
LAYOUT = {"note_on": 0, "note_off": 4, "time_shift": 8, "velocity": 12, "suffix": 16, "middle": 17}
LAYOUT |= {"num_pitches": 4, "num_shifts": 4, "num_velocities": 4}


@pytest.fixture(params=PRESETS, ids=lambda pair: "-".join(pair), scope="module")
def model(request: pytest.FixtureRequest) -> SequenceModel:
    return make_model(*request.param)


def make_model(name: str, preset: str) -> SequenceModel:
    fields = {"width": 16, "num_heads": 2, "num_layers": 2, "context": CONTEXT}
    if name == "perceiver_ar":
        fields["latents"] = LATENTS
    if name == "transformer_xl":
        fields |= {"segment": 7, "memory": 5}
    if preset == "events":  # a model that counts, on a vocabulary of four values a kind
        preset = "modern"
        block = {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25}
        fields |= {"events": LAYOUT, "neighbour_keys": True, "gap_embeddings": True, "block": block}
    model = build_from_preset(name, preset, {**fields, "vocabulary_size": VOCABULARY})
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def uncached(model: SequenceModel, tokens: list[int], start: int, latents: int) -> torch.Tensor:
    window = torch.tensor([tokens[start:]])
    with torch.no_grad():
        return model(window, num_latents=latents)[0, -1]


@pytest.mark.parametrize(
    ("primer_length", "context", "latents"),
    [
        *((length, CONTEXT, LATENTS) for length in (1, 2, 7, 8, 9, 31, 32, 96)),
        (30, 48, 12),
        (9, 8, 8),
        (1, 10, 2),
    ],
)
def test_caches_change_nothing(
    model: SequenceModel, primer_length: int, context: int, latents: int
) -> None:
    tokens = torch.randint(LAYOUT["suffix"], (primer_length,)).tolist()
    state = model.begin(tokens, context=context, latents=latents)
    for _ in range(context + latents + 3):
        assert 1 <= state.num_latents <= latents
        assert len(state.tokens) - state.context_start <= context
        expected = uncached(model, state.tokens, state.context_start, state.num_latents)
        torch.testing.assert_close(state.logits, expected, atol=1e-4, rtol=0)
        model.advance(state, int(state.logits[: LAYOUT["suffix"]].argmax()))
    assert state.tokens[:primer_length] == tokens


@pytest.mark.parametrize("latents", [LATENTS, 20])
def test_a_gap_is_filled_as_the_uncached_forward_fills_it(latents: int) -> None:
    model = make_model("perceiver_ar", "events")
    prompt = [12, 0, 9, 4, 1, 8, LAYOUT["suffix"], 13, 2, 8, 6, LAYOUT["middle"], 11, 11, 9]
    state = model.begin(prompt, context=CONTEXT, latents=latents)
    for token in [1, 9, 5, 3, 8, 0] * 6:
        expected = uncached(model, state.tokens, state.context_start, state.num_latents)
        torch.testing.assert_close(state.logits, expected, atol=1e-4, rtol=0)
        model.advance(state, token)
    with pytest.raises(ValueError, match="whole"):
        model.advance(state, LAYOUT["suffix"])


def test_latents_grow_from_half_and_the_context_starts_elsewhere_only_then() -> None:
    seen = []
    length, anchor = 100, Anchor.at(100, context=32, latents=8)
    latents = anchor.num_latents
    for _ in range(12):
        seen.append((latents, anchor.context_start, length - anchor.context_start))
        length += 1
        latents += 1
        if latents > 8:
            anchor = Anchor.at(length, context=32, latents=8)
            latents = anchor.num_latents
    assert [row[0] for row in seen] == [4, 5, 6, 7, 8, 4, 5, 6, 7, 8, 4, 5]
    assert [row[2] for row in seen] == [28, 29, 30, 31, 32, 28, 29, 30, 31, 32, 28, 29]
    assert len({row[1] for row in seen[:5]}) == 1


def test_short_music_is_all_latents_at_first() -> None:
    assert Anchor.at(3, context=32, latents=8) == Anchor(context_start=0, num_latents=3)


def test_impossible_requests_are_refused(model: SequenceModel) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        model.begin([])
    with pytest.raises(ValueError, match="latents"):
        model.begin([1], context=4, latents=5)
