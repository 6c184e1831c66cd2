"""What is special to Perceiver AR: the cross-attend, its table, and the fresh model."""

import math

import pytest
import torch
import torch.nn.functional as F

from perceiver_music.model.perceiver_ar import PerceiverAR, PerceiverARConfig

VOCABULARY = 20


def tiny(preset: str = "modern", **fields: object) -> PerceiverAR:
    sizes = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 12, "latents": 4}
    torch.manual_seed(0)
    make = getattr(PerceiverARConfig, preset)
    return PerceiverAR(make(vocabulary_size=VOCABULARY, **{**sizes, **fields})).eval()


@pytest.mark.parametrize("preset", ["modern", "paper"])
def test_a_fresh_model_finds_all_tokens_equally_likely(preset: str) -> None:
    model = tiny(preset)
    tokens = torch.randint(VOCABULARY, (2, 12))
    logits = model(tokens, num_latents=4)
    loss = F.cross_entropy(logits.mT, tokens[:, -4:])
    assert loss.item() == pytest.approx(math.log(VOCABULARY))


@pytest.mark.parametrize("preset", ["modern", "paper"])
def test_the_vocabulary_table_equals_projecting_every_position(preset: str) -> None:
    model = tiny(preset)
    tokens = torch.randint(VOCABULARY, (1, 12))
    angles = model._angles(0, 12, None)
    table = model._context_table()
    key, value = model.cross.keys(table, tokens, angles), model.cross.values(table, tokens)
    context = model.cross.context_norm(model.embedding_norm(model.embedding(tokens)))
    attention = model.cross.attention
    expected = attention.rotate_heads(attention.key(context), angles)
    torch.testing.assert_close(key, expected)
    torch.testing.assert_close(value, attention.split_heads(attention.value(context)))


def test_prefix_dropout_hides_tokens_from_the_latents() -> None:
    model = tiny()
    torch.nn.init.normal_(model.output.weight)
    for module in (model.cross.attention.output, model.cross.mlp.down):
        torch.nn.init.normal_(module.weight)
    tokens = torch.randint(VOCABULARY, (1, 12))
    visible = torch.ones_like(tokens, dtype=torch.bool)
    visible[:, 2] = False
    hidden = model(tokens, num_latents=4, visible=visible)
    changed = tokens.clone()
    changed[:, 2] = (changed[:, 2] + 1) % VOCABULARY
    torch.testing.assert_close(model(changed, num_latents=4, visible=visible), hidden)
    assert not torch.allclose(model(tokens, num_latents=4), hidden)


def test_the_paper_preset_is_the_papers() -> None:
    config = tiny("paper").config
    block = config.block
    assert (block.norm, block.bias, block.qk_norm) == ("layer", True, False)
    assert (block.rotary_fraction, block.rotary_max_wavelength) == (0.25, config.context)
    assert config.query_projection
    assert config.logit_soft_cap is None


@pytest.mark.parametrize("fields", [{"latents": 13}, {"latents": 1}, {"num_layers": 0}])
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"latents|layer"):
        tiny(**fields)


@pytest.mark.parametrize(
    ("preset", "field", "value"),
    [
        ("modern", "previous_token", False),
        ("paper", "query_projection", False),
        ("paper", "logit_soft_cap", 30.0),
    ],
)
def test_what_a_preset_sets_can_be_set_otherwise(preset: str, field: str, value: object) -> None:
    assert getattr(tiny(preset, **{field: value}).config, field) == value
