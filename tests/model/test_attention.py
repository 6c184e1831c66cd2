"""Masks as matrices that a person can check, and attention against its plain definition."""

import pytest
import torch
from torch import Tensor

from perceiver_music.model.attention import (
    BlockConfig,
    attention_mask,
    causal_attention,
    window_mask,
)


def as_matrix(mask: Tensor) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in mask.tolist()]


def plain_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ value


def test_last_queries_see_all_before_them_and_themselves() -> None:
    mask = attention_mask(3, torch.ones(1, 5, dtype=torch.bool))
    assert as_matrix(mask[0, 0]) == [
        "xxx..",
        "xxxx.",
        "xxxxx",
    ]


def test_as_many_queries_as_keys_is_the_plain_causal_mask() -> None:
    mask = attention_mask(4, torch.ones(1, 4, dtype=torch.bool))
    assert as_matrix(mask[0, 0]) == ["x...", "xx..", "xxx.", "xxxx"]


def test_hidden_positions_are_seen_by_nobody_but_themselves() -> None:
    visible = torch.tensor([[False, True, False, True, True]])
    assert as_matrix(attention_mask(4, visible)[0, 0]) == [
        ".x...",
        ".xx..",
        ".x.x.",
        ".x.xx",
    ]


@pytest.mark.parametrize(("num_queries", "num_keys"), [(1, 1), (1, 7), (3, 7), (7, 7)])
def test_attention_equals_its_definition(num_queries: int, num_keys: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 3, num_queries, 4)
    key, value = torch.randn(2, 2, 3, num_keys, 4).unbind()
    mask = attention_mask(num_queries, torch.ones(2, num_keys, dtype=torch.bool))
    expected = plain_attention(query, key, value, mask)
    torch.testing.assert_close(causal_attention(query, key, value), expected)
    torch.testing.assert_close(causal_attention(query, key, value, mask), expected)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        BlockConfig(width=10, num_heads=4)


def test_a_mask_that_hides_nothing_is_none() -> None:
    visible = torch.ones(2, 7, dtype=torch.bool)
    assert window_mask(3, None) is None
    assert window_mask(3, visible) is None
    visible[1, 0] = False
    mask = window_mask(3, visible)
    assert mask is not None
    assert torch.equal(mask, attention_mask(3, visible))
