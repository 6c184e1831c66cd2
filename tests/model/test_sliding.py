"""The policy `slide` is attention through a band: each position sees so many before it, no more."""

import pytest
import torch
from torch import Tensor

from perceiver_music.model.base import DecodeState, SequenceModel
from perceiver_music.model.perceiver_ar import PerceiverAR
from perceiver_music.model.registry import build_from_preset
from perceiver_music.model.transformer import Transformer
from perceiver_music.model.transformer_xl import TransformerXL

VOCABULARY, CONTEXT, LATENTS = 20, 24, 8
LAYOUT = {"note_on": 0, "note_off": 4, "time_shift": 8, "velocity": 12, "suffix": 16, "middle": 17}
LAYOUT |= {"num_pitches": 4, "num_shifts": 4, "num_velocities": 4}
EVENTS = {
    "events": LAYOUT,
    "neighbour_keys": True,
    "block": {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25},
}
MODELS = {
    "modern": ("perceiver_ar", "modern", {"latents": LATENTS}),
    "paper": ("perceiver_ar", "paper", {"latents": LATENTS}),
    "events": ("perceiver_ar", "modern", {"latents": LATENTS, **EVENTS}),
    "transformer": ("transformer", "modern", {}),
    "transformer_xl": ("transformer_xl", "modern", {"segment": 7, "memory": 5}),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> SequenceModel:
    name, preset, fields = MODELS[request.param]
    sizes = {"width": 16, "num_heads": 2, "num_layers": 2, "context": CONTEXT}
    model = build_from_preset(name, preset, {**sizes, **fields, "vocabulary_size": VOCABULARY})
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def band(num_queries: int, num_keys: int, width: int) -> Tensor:
    """Which key each of the last queries may see: its own and those before it, `width` in all."""
    own = torch.arange(num_keys - num_queries, num_keys)[:, None]
    keys = torch.arange(num_keys)
    return ((keys <= own) & (keys > own - width))[None, None]


def through_bands(model: SequenceModel, state: DecodeState, first_latent: int) -> Tensor:
    """What the definition says follows, everything since the origin computed anew."""
    tokens = torch.tensor([state.tokens[state.origin :]])
    length = tokens.shape[1]
    if isinstance(model, TransformerXL):  # its memory slides anyway
        return model(tokens, num_latents=1)[0, -1]
    if isinstance(model, Transformer):
        x, angles = model.embedding_norm(model.embedding(tokens)), model._angles(0, length)
        for layer in model.layers:
            x = layer(x, tokens, angles, mask=band(length, length, state.context))
        return model._logits(x)[0, -1]
    assert isinstance(model, PerceiverAR)
    latents = length - first_latent
    events = model._count(tokens, latents)
    angles = model._angles(0, length, events)
    table = model._context_table()
    key, ids = model._context(table, tokens, angles, events)
    angles = (angles[0][..., -latents:, :], angles[1][..., -latents:, :])
    x = model._latent_inputs(tokens, latents, None, events)
    x = model.cross(
        x, key, model.cross.values(table, ids), angles, band(latents, length, state.context)
    )
    mask = band(latents, latents, state.latents)
    for layer in model.layers:
        x = layer(x, tokens[:, -latents:], angles, mask=mask)
    return model._logits(x, events)[0, -1]


@pytest.mark.parametrize(
    ("primer_length", "context", "latents"),
    [(1, CONTEXT, LATENTS), (9, CONTEXT, LATENTS), (60, CONTEXT, LATENTS), (5, 9, 9), (30, 12, 2)],
)
def test_what_slides_is_attention_through_a_band(
    model: SequenceModel, primer_length: int, context: int, latents: int
) -> None:
    tokens = torch.randint(LAYOUT["suffix"], (primer_length,)).tolist()
    model.policy = "slide"
    state = model.begin(tokens, context=context, latents=latents)
    first_latent = primer_length - state.origin - state.num_latents
    for token in torch.randint(LAYOUT["suffix"], (2 * context + latents,)).tolist():
        with torch.no_grad():
            expected = through_bands(model, state, first_latent)
        torch.testing.assert_close(state.logits, expected, atol=1e-4, rtol=0)
        model.advance(state, token)
    assert state.num_latents == latents
    assert len(state.tokens) - state.context_start == context


def test_until_latents_are_full_both_policies_are_one(model: SequenceModel) -> None:
    tokens = torch.randint(LAYOUT["suffix"], (40,)).tolist()
    states = []
    for policy in ("exact", "slide"):
        model.policy = policy
        states.append(model.begin(tokens, context=CONTEXT, latents=LATENTS))
        for token in tokens[: LATENTS // 2]:
            model.advance(states[-1], token)
    exact, slide = states
    torch.testing.assert_close(exact.logits, slide.logits)
    assert (exact.context_start, exact.num_latents) == (slide.context_start, slide.num_latents)
