"""The written-out derivatives against autograd's own, and the plain definitions."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perceiver_music.model.elementwise import (
    Dropout,
    RMSNorm,
    normalize_and_turn,
    rms_normalize,
    squared_relu,
    turn,
)

ANGLES = torch.randn(1, 1, 5, 2, dtype=torch.float64)
COS, SIN = ANGLES.cos(), ANGLES.sin()


def plain_norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def plain_squared_relu(x: Tensor) -> Tensor:
    return F.relu(x) ** 2


def plain_turn(x: Tensor) -> Tensor:
    first, second, rest = x.split((2, 2, x.shape[-1] - 4), dim=-1)
    return torch.cat((first * COS - second * SIN, second * COS + first * SIN, rest), dim=-1)


PAIRS = [
    (rms_normalize, plain_norm),
    (squared_relu, plain_squared_relu),
    (lambda x: turn(x, COS, SIN), plain_turn),
    (lambda x: normalize_and_turn(x, COS, SIN), lambda x: plain_turn(plain_norm(x))),
]


@pytest.mark.parametrize(
    ("ours", "plain"), PAIRS, ids=["norm", "squared_relu", "turn", "norm and turn"]
)
@pytest.mark.parametrize("is_transposed", [False, True])
def test_values_and_gradients_are_those_of_the_definition(
    ours: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor], is_transposed: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 6, dtype=torch.float64) if is_transposed else torch.randn(2, 3, 5, 6)
    x = (x.transpose(1, 2) if is_transposed else x.double()).requires_grad_()
    torch.testing.assert_close(ours(x), plain(x))
    weights = torch.randn_like(x)
    (own,) = torch.autograd.grad((ours(x) * weights).sum(), x)
    (expected,) = torch.autograd.grad((plain(x) * weights).sum(), x)
    torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    x = torch.full((3, 333, 101), 3.0, dtype=dtype, requires_grad=True)
    dropped = Dropout(probability)(x)
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(1 - probability, abs=0.005)
    whole = torch.full((), 3 / (1 - probability), dtype=dtype)
    assert (
        dropped[kept].float().allclose(whole.float(), rtol=1e-4 if dtype == torch.float32 else 0.01)
    )
    for last_of_four in range(4):  # four draws come of one number
        share = kept.flatten()[last_of_four::4].float().mean().item()
        assert share == pytest.approx(1 - probability, abs=0.01)
    (gradient,) = torch.autograd.grad(dropped.float().sum(), x)
    torch.testing.assert_close(gradient, dropped.detach() / 3)


def test_dropout_does_nothing_without_training_and_follows_the_seed() -> None:
    x, dropout = torch.randn(7, 5), Dropout(0.5)
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(dropout(x))
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], dropout(x))
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_an_input_is_not_changed() -> None:
    x = torch.randn(1, 1, 5, 6)
    before = x.clone()
    for change in (turn, normalize_and_turn):
        change(x, COS.float(), SIN.float())
        assert torch.equal(x, before)


def test_a_norm_before_a_product_has_its_precision() -> None:
    x = torch.randn(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert RMSNorm(before_product=True)(x).dtype == torch.bfloat16
        assert RMSNorm(before_product=False)(x).dtype == torch.float32
    assert RMSNorm(before_product=True)(x).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_gradient_a_gpu_computes_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 64, dtype=dtype).transpose(1, 2)
    before = x.clone()
    angles = torch.randn(1, 1, 5, 16, dtype=dtype)
    for function in (rms_normalize, lambda x: normalize_and_turn(x, *angles_of(x, angles))):
        with torch.no_grad():
            found, expected = function(x.cuda()), function(x)
        assert found.dtype == dtype
        tolerance = 1e-5 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(found.cpu(), expected, atol=tolerance, rtol=tolerance)
    assert torch.equal(x, before)


def angles_of(x: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    return angles.cos().to(x.device), angles.sin().to(x.device)
