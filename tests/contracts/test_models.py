"""What every architecture and preset promises, run over the registry."""

import pytest
import torch

from perceiver_music.errors import InvalidInputError
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import (
    ARCHITECTURES,
    build_from_config,
    build_from_preset,
    config_as_dict,
    name_of,
)

VOCABULARY, CONTEXT, LATENTS = 20, 24, 8
PRESETS = [(name, preset) for name, row in ARCHITECTURES.items() for preset in row.presets]
PRESETS.append(("perceiver_ar", "events"))
LAYOUT = {"note_on": 0, "note_off": 4, "time_shift": 8, "velocity": 12, "suffix": 16, "middle": 17}
LAYOUT |= {"num_pitches": 4, "num_shifts": 4, "num_velocities": 4}


def randomised(model: SequenceModel) -> SequenceModel:
    """Zero-initialised layers hide what does not reach them; noise does not."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.fixture(params=PRESETS, ids=lambda pair: "-".join(pair))
def model(request: pytest.FixtureRequest) -> SequenceModel:
    name, preset = request.param
    fields = {
        "width": 16,
        "num_heads": 2,
        "num_layers": 2,
        "context": CONTEXT,
        "vocabulary_size": VOCABULARY,
    }
    if name == "perceiver_ar":
        fields["latents"] = LATENTS
    if name == "transformer_xl":  # memories that are shorter have a test of their own
        fields |= {"segment": CONTEXT, "memory": CONTEXT}
    if preset == "events":  # a model that counts, on a vocabulary of four values a kind
        preset = "modern"
        fields |= {"events": LAYOUT, "block": {"time_rotary_fraction": 0.25}}
    return randomised(build_from_preset(name, preset, fields))


@pytest.fixture
def tokens() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(VOCABULARY, (2, CONTEXT), generator=generator)


def test_logits_have_the_promised_shape(model: SequenceModel, tokens: torch.Tensor) -> None:
    assert model(tokens, num_latents=5).shape == (2, 5, VOCABULARY)
    assert model(tokens, num_latents=5).dtype == torch.float32


def test_a_token_changes_nothing_before_itself(model: SequenceModel, tokens: torch.Tensor) -> None:
    before = model(tokens, num_latents=LATENTS)
    for position in (0, CONTEXT - LATENTS - 1, CONTEXT - LATENTS, CONTEXT - 3, CONTEXT - 1):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % VOCABULARY
        difference = (model(changed, num_latents=LATENTS) - before).abs().amax(dim=(0, 2))
        first = max(0, position - (CONTEXT - LATENTS))
        assert (difference[:first] == 0).all()
        assert (difference[first:] > 0).all()


def test_padding_and_what_it_holds_change_nothing(
    model: SequenceModel, tokens: torch.Tensor
) -> None:
    for num_padding in (3, CONTEXT - LATENTS, CONTEXT - 2):
        visible = torch.ones_like(tokens, dtype=torch.bool)
        visible[:, :num_padding] = False
        num_left = CONTEXT - num_padding
        num_compared = min(LATENTS, num_left)
        alone = model(tokens[:, num_padding:], num_latents=num_compared)
        padded = model(tokens, num_latents=LATENTS, visible=visible)[:, -num_compared:]
        torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-4)
        other = tokens.clone()
        other[:, :num_padding] = 0
        refilled = model(other, num_latents=LATENTS, visible=visible)[:, -num_compared:]
        torch.testing.assert_close(refilled, padded)


def test_gradients_reach_every_parameter(model: SequenceModel, tokens: torch.Tensor) -> None:
    model(tokens, num_latents=LATENTS).square().mean().backward()
    missing = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    # A constant added to every key of a query changes no softmax: such a bias has no gradient.
    assert [name for name in missing if not name.endswith("attention.key.bias")] == []


def test_configuration_survives_json(model: SequenceModel) -> None:
    copy = build_from_config(name_of(model), config_as_dict(model))
    assert copy.config == model.config
    copy.load_state_dict(model.state_dict())


def test_an_unknown_setting_is_refused_by_name(model: SequenceModel) -> None:
    with pytest.raises(InvalidInputError, match="colour"):
        build_from_config(name_of(model), {**config_as_dict(model), "colour": "red"})


def test_too_many_latents_are_refused(model: SequenceModel, tokens: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="latents"):
        model(tokens, num_latents=CONTEXT + 1)


def test_longer_and_shorter_windows_than_in_training_work(model: SequenceModel) -> None:
    long = torch.randint(VOCABULARY, (1, 2 * CONTEXT))
    assert model(long, num_latents=2 * LATENTS).isfinite().all()
    assert model(long[:, :1], num_latents=1).isfinite().all()


@pytest.mark.parametrize("given", [3, CONTEXT])
def test_a_branch_goes_its_own_way(model: SequenceModel, given: int) -> None:
    """Through several re-anchors, while what it was branched from stays where it was."""
    start = [int(token) for token in torch.randint(12, (given,))]
    one, other = ([int(token) for token in torch.randint(12, (2 * LATENTS,))] for _ in range(2))
    state = model.begin(start)
    for token in one[:5]:
        model.advance(state, token)
    branch, before = model.branch(state), state.logits.clone()
    for token in other:
        model.advance(branch, token)
    assert torch.equal(state.logits, before)
    for token in one[5:]:
        model.advance(state, token)
    for tokens, found in ((one, state), (one[:5] + other, branch)):
        alone = model.begin(start)
        for token in tokens:
            model.advance(alone, token)
        assert torch.equal(found.logits, alone.logits)
        assert found.tokens == alone.tokens
