"""Attention to a table's rows is attention to the values that they are, forward and backward."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from perceiver_music.model import table_attention as module
from perceiver_music.model.attention import attention_mask, causal_attention
from perceiver_music.model.native.library import kernel_names
from perceiver_music.model.perceiver_ar import PerceiverAR, PerceiverARConfig
from perceiver_music.model.table_attention import is_possible, table_attention

needs_library = pytest.mark.skipif(not kernel_names(), reason="the library is not compiled")
needs_speed = pytest.mark.skipif(
    kernel_names()[:1] in module._SLOW, reason="torch's attention is the faster one here"
)
SHAPES = {
    "one tile": (1, 1, 3, 3, 16, 5),
    "several heads and sequences": (2, 3, 37, 101, 64, 50),
    "as many queries as keys": (1, 2, 130, 130, 32, 7),
    "odd head width": (1, 2, 64, 333, 80, 300),
    "one query": (2, 2, 1, 50, 48, 9),
}


def normed(*shape: int) -> Tensor:
    x = torch.randn(*shape)
    return x / x.square().mean(-1, keepdim=True).sqrt()


def looked_up(
    query: Tensor, key: Tensor, ids: Tensor, table: Tensor, visible: Tensor | None
) -> Tensor:
    mask = None if visible is None else attention_mask(query.shape[2], visible)
    return causal_attention(query, key, table[:, ids].movedim(1, 0), mask)


def example(shape: tuple[int, ...], *, is_masked: bool) -> tuple[Any, ...]:
    batch, heads, queries, keys, width, rows = shape
    torch.manual_seed(0)
    leaves = (normed(batch, heads, queries, width), normed(batch, heads, keys, width))
    query, key, table = (x.requires_grad_() for x in (*leaves, torch.randn(heads, rows, width)))
    visible = torch.rand(batch, keys) > 0.4 if is_masked else None
    return query, key, torch.randint(rows, (batch, keys)), table, visible


@needs_library
@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_it_equals_attention_to_values_that_are_looked_up(
    shape: tuple[int, ...], is_masked: bool, kernels: str
) -> None:
    query, key, ids, table, visible = example(shape, is_masked=is_masked)
    expected = looked_up(query, key, ids, table, visible)
    found = table_attention(query, key, ids, table, visible, kernels=kernels)
    torch.testing.assert_close(found, expected, atol=3e-6, rtol=1e-4)
    slope = torch.randn_like(expected)
    leaves = (query, key, table)
    for of_found, of_expected in zip(
        torch.autograd.grad(found, leaves, slope),
        torch.autograd.grad(expected, leaves, slope),
        strict=True,
    ):
        torch.testing.assert_close(of_found, of_expected, atol=1e-5, rtol=1e-4)


@needs_library
def test_a_key_after_its_query_changes_nothing() -> None:
    query, key, ids, table, _ = example((1, 2, 20, 40, 32, 6), is_masked=False)
    found = table_attention(query, key, ids, table)
    changed = key.detach().clone()
    changed[:, :, 31:] = normed(1, 2, 9, 32)
    again = table_attention(query, changed, ids, table)
    assert torch.equal(again[:, :, :11], found[:, :, :11])
    assert not torch.allclose(again[:, :, 11:], found[:, :, 11:])


@needs_library
def test_threads_and_company_change_no_bit() -> None:
    query, key, ids, table, visible = example((3, 2, 40, 90, 32, 6), is_masked=True)
    alone = [
        table_attention(query[i : i + 1], key[i : i + 1], ids[i : i + 1], table, visible[i : i + 1])
        for i in range(3)
    ]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        together = table_attention(query, key, ids, table, visible)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(together, torch.cat(alone))


@needs_library
def test_bf16_comes_back_as_bf16() -> None:
    query, key, ids, table, _ = example((1, 2, 40, 90, 32, 6), is_masked=False)
    halves = [x.detach().bfloat16().requires_grad_() for x in (query, key, table)]
    found = table_attention(halves[0], halves[1], ids, halves[2])
    assert found.dtype == torch.bfloat16
    expected = looked_up(query, key, ids, table, None)
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)
    for gradient in torch.autograd.grad(found.sum(), halves):
        assert gradient.dtype == torch.bfloat16
        assert gradient.isfinite().all()


@needs_library
def test_an_id_without_a_row_is_refused() -> None:
    query, key, ids, table, _ = example((1, 1, 4, 9, 16, 6), is_masked=False)
    ids[0, 3] = 6
    with pytest.raises(IndexError, match="ids from 0 to 6, and 6 rows"):
        table_attention(query, key, ids, table)


def network() -> PerceiverAR:
    torch.manual_seed(2)
    sizes = {"width": 64, "num_heads": 2, "num_layers": 1, "context": 600, "latents": 32}
    model = PerceiverAR(PerceiverARConfig.modern(vocabulary_size=20, **sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(model: PerceiverAR, tokens: Tensor, visible: Tensor | None) -> list[Tensor]:
    loss = model(tokens, num_latents=32, visible=visible).square().mean()
    return list(torch.autograd.grad(loss, list(model.parameters())))


@needs_speed
@pytest.mark.parametrize("is_masked", [False, True])
def test_a_model_learns_the_same_by_it(is_masked: bool) -> None:
    model, tokens = network(), torch.randint(20, (2, 600))
    visible = torch.rand(2, 600) > 0.3 if is_masked else None
    with patch.object(module, "table_attention", wraps=table_attention) as used:
        found = gradients(model, tokens, visible)
    assert used.call_count == 1
    with patch.object(module, "is_possible", return_value=False):
        expected = gradients(model, tokens, visible)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-3)


@needs_speed
def test_scores_that_may_be_large_are_left_to_torch() -> None:
    sizes = {"width": 64, "num_heads": 2, "num_layers": 1, "context": 600, "latents": 32}
    model = PerceiverAR(PerceiverARConfig.paper(vocabulary_size=20, **sizes))
    with patch.object(module, "table_attention") as used:
        model(torch.randint(20, (1, 600)), num_latents=32)
    used.assert_not_called()


@pytest.mark.parametrize(
    ("names", "expected"),
    [((), False), (("generic",), False), (("avx2", "generic"), True), (("avx512", "avx2"), True)],
)
def test_it_is_possible_where_the_library_is_the_faster(
    names: tuple[str, ...], expected: bool
) -> None:
    query, key = normed(1, 1, 32, 64), normed(1, 1, 600, 64)
    with patch.object(module, "kernel_names", return_value=names):
        assert is_possible(query, key) == expected
        assert not is_possible(query.double(), key.double())
        assert not is_possible(query[..., :40], key[..., :40])
        assert not is_possible(query, key[..., :100, :])
        assert not is_possible(query.to("meta"), key.to("meta"))
        assert not is_possible(query[:0], key[:0])
        assert not is_possible(query.expand(1, 1, 32, 64).repeat(1, 1, 1, 17), key)


@needs_library
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_scores_stay_finite(sign: float) -> None:
    width = module._MOST_HEAD_WIDTH
    query = torch.ones(1, 1, 16, width)
    key = torch.full((1, 1, 600, width), sign)
    found = table_attention(query, key, torch.zeros(1, 600, dtype=torch.long), query[:, 0])
    torch.testing.assert_close(found, query)


@needs_library
def test_a_default_precision_of_torch_changes_nothing() -> None:
    query, key, ids, table, _ = example((1, 2, 20, 40, 32, 6), is_masked=False)
    leaves = (query, key, table)
    expected = torch.autograd.grad(table_attention(query, key, ids, table).sum(), leaves)
    torch.set_default_dtype(torch.float64)
    try:
        found = torch.autograd.grad(table_attention(query, key, ids, table).sum(), leaves)
    finally:
        torch.set_default_dtype(torch.float32)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine, theirs)


@needs_library
def test_a_second_derivative_is_refused() -> None:
    query, key, ids, table, _ = example((1, 1, 4, 9, 16, 6), is_masked=False)
    found = table_attention(query, key, ids, table).square().sum()
    (slope,) = torch.autograd.grad(found, query, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
