"""Packed matrices are those of fp32: in a product, in a decode, and whatever the company."""

import copy

import pytest
import torch
from torch import nn

from perceiver_music.model import packed_linear
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.packed_linear import PackedLinear, pack_linears
from tests.model.test_decoding import LAYOUT, PRESETS, make_model, uncached

needs_kernel = pytest.mark.skipif(not packed_linear._has_kernel(), reason="FBGEMM is not there")


def linear(num_inputs: int = 48, num_outputs: int = 40, *, bias: bool = True) -> nn.Linear:
    """Of weights that a checkpoint can hold."""
    torch.manual_seed(0)
    made = nn.Linear(num_inputs, num_outputs, bias=bias).requires_grad_(False)
    made.weight.copy_(made.weight.bfloat16())
    return made


def is_packed(model: nn.Module) -> bool:
    return any(isinstance(module, PackedLinear) for module in model.modules())


@needs_kernel
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 300])
def test_a_product_is_that_of_fp32_row_by_row(rows: int, bias: bool) -> None:
    plain = linear(bias=bias)
    packed, x = PackedLinear(plain), torch.randn(2, rows, 48)
    torch.testing.assert_close(packed(x), plain(x), atol=1e-5, rtol=0)
    alone = torch.stack([packed(row) for row in x.view(-1, 1, 48)]).view(2, rows, 40)
    torch.testing.assert_close(packed(x), alone, atol=1e-5, rtol=0)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        assert torch.equal(packed(x), alone)


@needs_kernel
def test_several_are_one_product() -> None:
    first, second = linear(), linear(num_outputs=7)
    x = torch.randn(5, 48)
    expected = torch.cat((first(x), second(x)), dim=-1)
    torch.testing.assert_close(PackedLinear(first, second)(x), expected, atol=1e-5, rtol=0)


@needs_kernel
@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_packed_decode_equals_the_uncached_forward_of_fp32(name: str, preset: str) -> None:
    plain = make_model(name, preset).requires_grad_(False)
    for parameter in plain.parameters():
        parameter.copy_(parameter.bfloat16())
    packed: SequenceModel = copy.deepcopy(plain)
    pack_linears(packed)
    assert not any(isinstance(module, nn.Linear) for module in packed.modules())
    state = packed.begin(torch.randint(LAYOUT["suffix"], (20,)).tolist())
    for _ in range(20):
        expected = uncached(plain, state.tokens, state.context_start, state.num_latents)
        torch.testing.assert_close(state.logits, expected, atol=1e-4, rtol=0)
        packed.advance(state, int(state.logits[: LAYOUT["suffix"]].argmax()))


@needs_kernel
def test_a_decode_is_the_same_to_the_last_digit_in_company_and_alone() -> None:
    model = make_model("perceiver_ar", "modern").requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16())
    pack_linears(model)
    assert is_packed(model)
    primer = torch.randint(LAYOUT["suffix"], (20,)).tolist()
    alone, *together = model.begin_many([primer] * 4)
    for token in torch.randint(LAYOUT["suffix"], (20,)).tolist():
        model.advance(alone, token)
        model.advance_many(together, [token, (token + 1) % 40, token])
        assert torch.equal(together[0].logits, alone.logits)
        assert torch.equal(together[2].logits, alone.logits)


@needs_kernel
@pytest.mark.parametrize("weight", [1e5, 1.0 + 2.0**-16, float("nan")])
def test_weights_that_fp16_does_not_hold_stay_as_they_are(weight: float) -> None:
    plain = linear()
    plain.weight[3, 4] = weight
    model = nn.Sequential(plain, linear(40, 8))
    pack_linears(model)
    assert model[0] is plain
    assert isinstance(model[1], PackedLinear)


def test_without_the_kernel_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "_has_kernel", lambda: False)
    model = make_model("perceiver_ar", "modern")
    pack_linears(model)
    assert not is_packed(model)
