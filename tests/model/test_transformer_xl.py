"""What is special to Transformer-XL: segments, and what is remembered between them."""

import torch

from perceiver_music.model.transformer_xl import TransformerXL, TransformerXLConfig

VOCABULARY = 20


def tiny(segment: int, memory: int, num_layers: int = 1) -> TransformerXL:
    config = TransformerXLConfig.modern(
        width=16,
        num_heads=2,
        vocabulary_size=VOCABULARY,
        context=24,
        segment=segment,
        memory=memory,
        num_layers=num_layers,
    )
    model = TransformerXL(config)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def reach(model: TransformerXL, position: int) -> set[int]:
    """The positions whose predictions a token moves."""
    tokens = torch.randint(VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, position] = (changed[0, position] + 1) % VOCABULARY
    difference = model(tokens, num_latents=24) - model(changed, num_latents=24)
    return set(difference[0].abs().amax(dim=-1).gt(1e-6).nonzero().flatten().tolist())


def test_a_layer_sees_its_segment_and_its_memory() -> None:
    assert reach(tiny(segment=8, memory=4), 4) == set(range(4, 16))
    assert reach(tiny(segment=8, memory=4), 3) == set(range(3, 8))
    assert reach(tiny(segment=8, memory=0), 4) == set(range(4, 8))


def test_layers_reach_further_back_one_by_one() -> None:
    assert reach(tiny(segment=8, memory=8, num_layers=2), 0) == set(range(24))
    assert reach(tiny(segment=8, memory=8, num_layers=1), 0) == set(range(16))


def test_one_segment_is_a_plain_transformer() -> None:
    tokens = torch.randint(VOCABULARY, (2, 24))
    whole = tiny(segment=24, memory=0)(tokens, num_latents=24)
    with_memory = tiny(segment=6, memory=24)(tokens, num_latents=24)
    torch.testing.assert_close(whole, with_memory)


def test_no_gradient_goes_through_the_memory() -> None:
    model = tiny(segment=8, memory=8)
    embedded: list[torch.Tensor] = []
    model.embedding.register_forward_hook(lambda *parts: embedded.append(parts[2]))
    logits = model(torch.randint(VOCABULARY, (1, 24)), num_latents=8)
    gradients = torch.autograd.grad(logits.sum(), embedded, allow_unused=True)
    assert [gradient is not None and bool(gradient.any()) for gradient in gradients] == [
        False,
        False,
        True,
    ]
