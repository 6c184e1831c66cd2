"""AdamW for all, or Muon for the matrices inside the blocks with AdamW for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceiver_music.training.config import OptimizerConfig
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.muon import Muon

_BLOCK_PARTS = (".attention.", ".mlp.", ".event_reader.keys.")


class Optimizers:
    """All optimizers of a run as one, with their state as named tensors."""

    def __init__(
        self, model: nn.Module, config: OptimizerConfig, ranks: Ranks | None = None
    ) -> None:
        self._names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
        groups = _groups(model)
        rest = [
            {"params": groups["embedding"], "lr": config.embedding_rate, "weight_decay": 0.0},
            {"params": groups["output"], "lr": config.output_rate, "weight_decay": 0.0},
        ]
        matrices = {
            "params": groups["matrix"],
            "lr": config.matrix_rate,
            "weight_decay": config.weight_decay,
        }
        if config.kind == "adamw":
            rest.append(matrices)
        rest = [group for group in rest if group["params"]]
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, betas=config.betas, eps=1e-10, fused=True)
        ]
        if config.kind == "muon":
            muon = Muon(
                groups["matrix"],
                lr=config.matrix_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                ranks=ranks,
            )
            self._optimizers.append(muon)
        for group in self._param_groups():
            group["full_rate"] = group["lr"]

    def _param_groups(self) -> list[dict[str, object]]:
        return [group for each in self._optimizers for group in each.param_groups]

    def step(self, rate_factor: float) -> None:
        """Update every parameter, at `rate_factor` of its full learning rate."""
        for group in self._param_groups():
            group["lr"] = group["full_rate"] * rate_factor  # type: ignore[operator]
        for optimizer in self._optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, Tensor]:
        """The whole state: "<parameter>/<quantity>" -> tensor."""
        return {
            f"{self._names[parameter]}/{key}": tensor
            for optimizer in self._optimizers
            for parameter, state in optimizer.state.items()
            for key, tensor in state.items()
        }

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `state_tensors` gave; the configuration must be the same."""
        owners = {
            self._names[parameter]: (optimizer, parameter)
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        for name, tensor in tensors.items():
            parameter_name, key = name.rsplit("/", 1)
            optimizer, parameter = owners[parameter_name]
            # Fused AdamW counts its steps beside the weights, too: on a GPU it takes no others.
            optimizer.state[parameter][key] = tensor.to(parameter.device).clone()


def _groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Parameters by the learning rate that they want."""
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    groups: dict[str, list[nn.Parameter]] = {"matrix": [], "embedding": [], "output": []}
    for name, parameter in model.named_parameters():
        if id(parameter) in embeddings:
            groups["embedding"].append(parameter)
        elif parameter.ndim == 2 and any(part in f".{name}" for part in _BLOCK_PARTS):
            groups["matrix"].append(parameter)
        else:
            groups["output"].append(parameter)
    return groups
