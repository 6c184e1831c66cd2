"""Rotary positions: only distances matter, and only the first channels turn."""

import math

import pytest
import torch

from perceiver_music.model.rotary import Rotary

CPU = torch.device("cpu")


def test_scores_depend_on_distance_alone() -> None:
    rotary = Rotary(8, fraction=0.5, max_wavelength=100.0)
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8)

    def score(at_query: int, at_key: int) -> torch.Tensor:
        turned_query = rotary.rotate(query, rotary.angles(at_query, at_query + 1, CPU))
        turned_key = rotary.rotate(key, rotary.angles(at_key, at_key + 1, CPU))
        return (turned_query * turned_key).sum()

    torch.testing.assert_close(score(5, 2), score(105, 102))
    assert not torch.isclose(score(5, 2), score(5, 3))


def test_channels_beyond_the_fraction_stay() -> None:
    rotary = Rotary(8, fraction=0.5, max_wavelength=100.0)
    x = torch.randn(1, 1, 3, 8)
    turned = rotary.rotate(x, rotary.angles(1, 4, CPU))
    torch.testing.assert_close(turned[..., 4:], x[..., 4:])
    assert not torch.allclose(turned[..., :4], x[..., :4])


def test_position_zero_does_not_turn() -> None:
    rotary = Rotary(4, fraction=1.0, max_wavelength=10.0)
    x = torch.randn(1, 2, 1, 4)
    torch.testing.assert_close(rotary.rotate(x, rotary.angles(0, 1, CPU)), x)


def test_late_positions_are_as_exact_as_early_ones() -> None:
    rotary = Rotary(4, fraction=1.0, max_wavelength=10_000.0)
    cos, _ = rotary.angles(32_767, 32_768, CPU)
    assert cos[0, 0].item() == pytest.approx(math.cos(32_767.0), abs=1e-6)
    assert cos[0, 1].item() == pytest.approx(math.cos(3.2767), abs=1e-6)
