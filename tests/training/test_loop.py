"""Steps, validation, and going on bit for bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import NonFiniteError, UsageError
from perceiver_music.model.registry import build_from_preset
from perceiver_music.training.config import TrainingConfig
from perceiver_music.training.distillation import Teachers
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.loop import LoopSetting, TrainingLoop
from perceiver_music.training.recipes import load_recipe
from perceiver_music.training.run_state import load_newest

SMALL = (
    "model.settings={width=16, num_heads=2, num_layers=1, context=64, latents=16}",
    "windows.latents=16",
    "windows.contexts=[[0, 32], [12, 64]]",
    "windows.windows_per_step=4",
    "windows.prefix_dropout=0.2",
    "windows.augmentation={transpose=3, velocity_shift=2, stretch=[0.9, 1.0, 1.1]}",
    "model.settings.block={dropout=0.1}",
    "run.ema_decay=0.9",
    "run.precision=fp32",
    "schedule.max_steps=20",
)


def loop_for(
    store: TokenStore,
    folder: Path,
    *settings: str,
    precision: str = "fp32",
    is_resumed: bool = False,
    teachers: Teachers | None = None,
) -> TrainingLoop:
    config: TrainingConfig = load_recipe("smoke", [*SMALL, *settings])
    torch.manual_seed(config.run.seed)
    fields = {**config.model.settings, "vocabulary_size": 400}
    model = build_from_preset(config.model.architecture, config.model.preset, fields)
    setting = LoopSetting(
        run_folder=folder,
        device=torch.device("cpu"),
        precision=precision,
        ranks=Ranks(),
        teachers=teachers,
    )
    resumed = load_newest(folder, pytest.fail) if is_resumed else None
    return TrainingLoop(model, store, config, setting, resumed)


def take_steps(loop: TrainingLoop, count: int) -> list[float]:
    return [float(loop.train_step()) for _ in range(count)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_twenty_steps_equal_ten_and_ten_more(
    tiny_store: TokenStore, tmp_path: Path, kind: str, precision: str
) -> None:
    setting = f"optimizer.kind={kind}"
    whole = loop_for(tiny_store, tmp_path / "whole", setting, precision=precision)
    losses = take_steps(whole, 20)
    first = loop_for(tiny_store, tmp_path / "parts", setting, precision=precision)
    losses_in_parts = take_steps(first, 10)
    first.save(seconds=1.0)
    second = loop_for(tiny_store, tmp_path / "parts", setting, precision=precision, is_resumed=True)
    losses_in_parts += take_steps(second, 10)
    assert losses_in_parts == losses
    assert second.counts.loss_tokens == whole.counts.loss_tokens
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name
    for name, tensor in whole.weights.items():
        assert torch.equal(second.weights[name], tensor), name
    state = second._optimizers.state_tensors()
    for name, tensor in whole._optimizers.state_tensors().items():
        assert torch.equal(state[name], tensor), name


def test_passes_of_any_size_make_the_same_step(tiny_store: TokenStore, tmp_path: Path) -> None:
    no_chance = ("windows.prefix_dropout=0.0", "model.settings.block={dropout=0.0}")
    at_once = loop_for(tiny_store, tmp_path, "run.windows_per_pass=4", *no_chance)
    one_by_one = loop_for(tiny_store, tmp_path, "run.windows_per_pass=1", *no_chance)
    assert take_steps(at_once, 3) == pytest.approx(take_steps(one_by_one, 3), abs=1e-5)


def test_validation_uses_the_averaged_weights_and_leaves_the_own(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    loop = loop_for(tiny_store, tmp_path, "run.ema_decay=0.5")
    take_steps(loop, 3)
    before = {name: tensor.clone() for name, tensor in loop.model.state_dict().items()}
    averaged = loop.validate()
    assert all(torch.equal(before[name], t) for name, t in loop.model.state_dict().items())
    loop._averaged = {}
    assert averaged != loop.validate()


def test_a_validation_that_fails_leaves_the_own_weights(
    tiny_store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    loop = loop_for(tiny_store, tmp_path, "run.ema_decay=0.5")
    take_steps(loop, 3)
    before = {name: tensor.clone() for name, tensor in loop.model.state_dict().items()}
    assert any(not torch.equal(before[name], t) for name, t in loop.weights.items())
    monkeypatch.setattr("perceiver_music.training.loop.score_pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.validate()
    assert all(torch.equal(before[name], t) for name, t in loop.model.state_dict().items())


def test_the_average_follows_its_rule(tiny_store: TokenStore, tmp_path: Path) -> None:
    loop = loop_for(tiny_store, tmp_path)
    expected = {name: tensor.clone() for name, tensor in loop.model.state_dict().items()}
    for _ in range(3):
        loop.train_step()
        for name, tensor in loop.model.state_dict().items():
            expected[name] = 0.9 * expected[name] + 0.1 * tensor
    for name, tensor in loop.weights.items():
        torch.testing.assert_close(tensor, expected[name])


def test_a_gradient_that_is_not_finite_stops_before_it_is_used(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    loop = loop_for(tiny_store, tmp_path)
    take_steps(loop, 2)
    with torch.no_grad():
        loop.model.get_parameter("output.weight")[0, 0] = float("nan")
    before = loop.model.get_parameter("embedding.weight").clone()
    with pytest.raises(NonFiniteError, match="step 3"):
        loop.train_step()
    assert torch.equal(loop.model.get_parameter("embedding.weight"), before)


def test_clipping_bounds_the_step(tiny_store: TokenStore, tmp_path: Path) -> None:
    adamw = ("optimizer.kind=adamw",)
    free = loop_for(tiny_store, tmp_path, *adamw)
    clipped = loop_for(tiny_store, tmp_path, *adamw, "optimizer.clip_norm=1e-12")
    start = free.model.get_parameter("embedding.weight").clone()
    # Adam's first step is as long whatever the gradient's size, unless it drowns in epsilon.
    take_steps(free, 2), take_steps(clipped, 2)
    moved = (free.model.get_parameter("embedding.weight") - start).norm()
    moved_clipped = (clipped.model.get_parameter("embedding.weight") - start).norm()
    assert moved_clipped < moved


def test_windows_are_dealt_to_ranks_evenly_or_not_at_all() -> None:
    assert Ranks(rank=1, world_size=2).rows(8) == range(4, 8)
    with pytest.raises(UsageError, match="evenly"):
        Ranks(rank=0, world_size=3).rows(8)


def test_a_store_without_validation_trains_all_the_same(
    tiny_store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = tuple(
        replace(piece, split="train") if piece.split == "validation" else piece
        for piece in tiny_store.pieces
    )
    monkeypatch.setattr(tiny_store, "pieces", pieces)
    assert loop_for(tiny_store, tmp_path).validate() is None
