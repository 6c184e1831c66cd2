"""Rotary positions: only distances matter, and only the first channels turn."""

import torch

from perceiver_music.model.rotary import Rotary


def test_scores_depend_on_distance_alone() -> None:
    rotary = Rotary(8, fraction=0.5, max_wavelength=100.0)
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8)

    def score(at_query: int, at_key: int) -> torch.Tensor:
        turned_query = rotary.rotate(query, rotary.angles(torch.tensor([at_query])))
        turned_key = rotary.rotate(key, rotary.angles(torch.tensor([at_key])))
        return (turned_query * turned_key).sum()

    torch.testing.assert_close(score(5, 2), score(105, 102))
    assert not torch.isclose(score(5, 2), score(5, 3))


def test_channels_beyond_the_fraction_stay() -> None:
    rotary = Rotary(8, fraction=0.5, max_wavelength=100.0)
    x = torch.randn(1, 1, 3, 8)
    turned = rotary.rotate(x, rotary.angles(torch.arange(1, 4)))
    torch.testing.assert_close(turned[..., 4:], x[..., 4:])
    assert not torch.allclose(turned[..., :4], x[..., :4])


def test_position_zero_does_not_turn() -> None:
    rotary = Rotary(4, fraction=1.0, max_wavelength=10.0)
    x = torch.randn(1, 2, 1, 4)
    torch.testing.assert_close(rotary.rotate(x, rotary.angles(torch.zeros(1))), x)
