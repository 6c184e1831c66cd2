"""Which parameter is trained how, and that the state survives."""

import pytest
import torch

from perceiver_music.model.registry import build_from_preset
from perceiver_music.training.config import OptimizerConfig
from perceiver_music.training.optimizer import Optimizers


def small_model() -> torch.nn.Module:
    torch.manual_seed(0)
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 16, "latents": 8}
    return build_from_preset("perceiver_ar", "modern", {**fields, "vocabulary_size": 20})


def fill_gradients(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_muon_takes_the_matrices_of_blocks_and_nothing_else() -> None:
    model = small_model()
    fill_gradients(model, 1)
    optimizers = Optimizers(model, OptimizerConfig())
    optimizers.step(1.0)
    state = optimizers.state_tensors()
    by_muon = {name.split("/")[0] for name in state if name.endswith("momentum_buffer")}
    by_adam = {name.split("/")[0] for name in state if name.endswith("exp_avg")}
    assert by_muon | by_adam == {name for name, _ in model.named_parameters()}
    assert not by_muon & by_adam
    assert all((".attention." in name or ".mlp." in name) for name in by_muon)
    assert "layers.0.value_table.weight" in by_adam


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_restored_state_takes_the_same_next_step(kind: str) -> None:
    config = OptimizerConfig(kind=kind)
    model, copy = small_model(), small_model()
    optimizers = Optimizers(model, config)
    fill_gradients(model, 1)
    optimizers.step(1.0)
    copy.load_state_dict(model.state_dict())
    restored = Optimizers(copy, config)
    restored.load_state_tensors(optimizers.state_tensors())
    for each, its_optimizers in ((model, optimizers), (copy, restored)):
        fill_gradients(each, 2)
        its_optimizers.step(0.5)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, copy.get_parameter(name)), name


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_state_from_a_file_goes_where_the_weights_are(kind: str) -> None:
    """Fused AdamW refuses steps that are counted elsewhere, and a file is read to the CPU."""
    model = small_model()
    optimizers = Optimizers(model, OptimizerConfig(kind=kind))
    fill_gradients(model, 1)
    optimizers.step(1.0)
    elsewhere = Optimizers(small_model().to("meta"), OptimizerConfig(kind=kind))
    elsewhere.load_state_tensors(optimizers.state_tensors())
    state = elsewhere.state_tensors()
    assert any(name.endswith("/step") for name in state)
    assert {tensor.device.type for tensor in state.values()} == {"meta"}


def test_a_rate_of_nought_changes_nothing() -> None:
    model = small_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fill_gradients(model, 1)
    Optimizers(model, OptimizerConfig()).step(0.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
