"""Muon (Jordan et al. 2024): steps along the nearest orthogonal matrix to the momentum.

The same arithmetic as `torch.optim.Muon`, to which tests compare it, with two differences that
decide how long a step takes. torch's iterates in bf16 whatever the processor: where that is
emulated, one step of the optimizer takes longer than the whole of forward and backward
(docs/lab-book.md). And of several processes each iterates over its share of the matrices only, not
all over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from perceiver_music.model.device import choose_precision
from perceiver_music.training.distributed import Ranks

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """For matrices whose gradients are the same on every rank.

    Args:
        matrices: parameters of two dimensions.
        lr: size of a step; of a matrix taller than wide, times the root of its proportions.
        momentum: Nesterov's, of the gradient's running mean.
        weight_decay: decoupled, times `lr`.
        ranks: the processes that train together.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        ranks: Ranks | None = None,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(matrices, defaults)
        self._ranks = ranks or Ranks()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient. There is no closure to call."""
        for group in self.param_groups:
            matrices = [matrix for matrix in group["params"] if matrix.grad is not None]
            updates = [self._momentum(matrix, group["momentum"]) for matrix in matrices]
            for matrix, update in zip(matrices, self._orthogonalized(updates), strict=True):
                height, width = matrix.shape
                matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * max(1.0, height / width) ** 0.5)

    def _momentum(self, matrix: Tensor, momentum: float) -> Tensor:
        gradient = matrix.grad
        assert gradient is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)

    def _orthogonalized(self, matrices: list[Tensor]) -> list[Tensor]:
        """Each made orthogonal by the rank whose turn it is; all on every rank."""
        ranks = self._ranks
        if ranks.world_size == 1 or not matrices:
            return orthogonalized(matrices)
        own = slice(ranks.rank, None, ranks.world_size)
        # Zeros from all ranks but one: their sum is exact, and one message carries everything.
        parts = [torch.zeros_like(matrix) for matrix in matrices]
        parts[own] = orthogonalized(matrices[own])
        flat = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(flat)
        sizes = [matrix.numel() for matrix in matrices]
        found = zip(flat.split(sizes), matrices, strict=True)
        return [part.view_as(matrix) for part, matrix in found]


def orthogonalized(matrices: Sequence[Tensor]) -> list[Tensor]:
    """About the nearest orthogonal matrix to each, by a quintic Newton-Schulz iteration.

    Singular values come out between about 0.7 and 1.2, which is as good for this purpose. Computed
    in bf16 where the device computes in it, else in float32. A GPU spends longer on starting small
    products than on computing them, so there matrices of one shape go together; a processor does
    better with one that stays in its cache.
    """
    groups: dict[object, list[int]] = {}
    for i, matrix in enumerate(matrices):
        groups.setdefault(i if matrix.device.type == "cpu" else matrix.shape, []).append(i)
    found = list(matrices)
    for indices in groups.values():
        together = _orthogonalized_stack(torch.stack([matrices[i] for i in indices]))
        for i, matrix in zip(indices, together.unbind(), strict=True):
            found[i] = matrix.to(matrices[i].dtype)
    return found


def _orthogonalized_stack(matrices: Float[Tensor, "count height width"]) -> Tensor:
    a, b, c = _COEFFICIENTS
    is_bf16 = choose_precision("auto", matrices.device) == "bf16"
    x = matrices.to(torch.bfloat16 if is_bf16 else torch.float32)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_EPSILON)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
