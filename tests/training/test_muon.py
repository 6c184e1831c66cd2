"""Muon against torch's, against the same in a few plain lines, and shared among processes."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from perceiver_music.training import muon
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.muon import Muon, orthogonalized

SHAPES = [(24, 24), (40, 16), (16, 40)]


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is compared to the last digits, also where the processor computes in bf16."""
    monkeypatch.setattr(muon, "choose_precision", lambda name, device: "fp32")


def random_matrices(*shapes: tuple[int, int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def plain_newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Keller Jordan's iteration as it is written down, in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", SHAPES)
def test_muon_steps_as_torch_does(shape: tuple[int, int]) -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}
    optimizers = Muon([ours], **settings), torch.optim.Muon([theirs], **settings)
    for gradient in random_matrices(*[shape] * 3):
        ours.grad, theirs.grad = gradient, gradient.clone()
        for each in optimizers:
            each.step()
    # theirs iterates in bf16 on every processor
    torch.testing.assert_close(ours, theirs, atol=3e-3, rtol=0)


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize("shape", SHAPES)
def test_muon_steps_as_a_few_plain_lines_do(shape: tuple[int, int]) -> None:
    rate, momentum, decay = 0.1, 0.9, 0.2
    (start,) = random_matrices(shape, seed=1)
    weights = torch.nn.Parameter(start.clone())
    optimizer = Muon([weights], lr=rate, momentum=momentum, weight_decay=decay)
    expected, mean = start.double().numpy(), np.zeros(shape)
    for gradient in random_matrices(*[shape] * 4):
        weights.grad = gradient.clone()
        optimizer.step()
        plain = gradient.double().numpy()
        mean = momentum * mean + (1 - momentum) * plain
        update = plain_newton_schulz((1 - momentum) * plain + momentum * mean)
        expected = expected * (1 - rate * decay)
        expected = expected - rate * max(1.0, shape[0] / shape[1]) ** 0.5 * update
    np.testing.assert_allclose(weights.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (96, 32), (32, 96)])
def test_a_muon_step_is_orthogonal_and_goes_the_same_way(shape: tuple[int, int]) -> None:
    (matrix,) = random_matrices(shape)
    (found,) = orthogonalized([matrix])
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    stretch = left.mT @ found @ right.mT  # by how much it stretches the matrix's own directions
    assert stretch.diagonal().min() > 0.5
    assert stretch.diagonal().max() < 1.3
    assert (stretch - stretch.diagonal().diag()).abs().max() < 0.05


@pytest.mark.usefixtures("in_float32")
def test_the_size_of_a_gradient_is_nothing_to_muon() -> None:
    (matrix,) = random_matrices((16, 40))
    small, large = orthogonalized([1e-3 * matrix, 1e3 * matrix])
    torch.testing.assert_close(small, large, atol=1e-4, rtol=0)
    assert not orthogonalized([torch.zeros(16, 40)])[0].any()


def test_a_matrix_without_a_gradient_stays() -> None:
    with_one, without = (torch.nn.Parameter(torch.ones(4, 4)) for _ in range(2))
    with_one.grad = torch.eye(4)
    Muon([with_one, without], lr=0.1, momentum=0.9, weight_decay=0.2).step()
    assert not torch.equal(with_one, torch.ones(4, 4))
    assert torch.equal(without, torch.ones(4, 4))


def test_processes_share_the_matrices_and_have_all(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = random_matrices(*SHAPES, (8, 8), seed=2)

    def updated(ranks: Ranks | None) -> list[torch.Tensor]:
        matrices = [torch.nn.Parameter(torch.zeros(each.shape)) for each in gradients]
        for matrix, gradient in zip(matrices, gradients, strict=True):
            matrix.grad = gradient.clone()
        Muon(matrices, lr=1.0, momentum=0.9, weight_decay=0.0, ranks=ranks).step()
        return [matrix.detach() for matrix in matrices]

    ranks = [Ranks(rank=rank, world_size=3) for rank in range(3)]
    parts: list[torch.Tensor] = []
    monkeypatch.setattr(dist, "all_reduce", lambda flat: parts.append(flat.clone()))
    for each in ranks:
        updated(each)
    # of each number all processes but one know nothing
    assert (torch.stack(parts) != 0).sum(dim=0).max() == 1
    monkeypatch.setattr(dist, "all_reduce", lambda flat: flat.copy_(sum(parts)))
    alone = updated(None)
    for each in ranks:
        assert all(map(torch.equal, updated(each), alone))
