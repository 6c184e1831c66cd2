"""Recipes are checked key by key, and settings lie over them."""

from pathlib import Path

import pytest

from perceiver_music.errors import InvalidInputError, StorageError, UsageError
from perceiver_music.training.config import (
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainingConfig,
)
from perceiver_music.training.recipes import apply_settings, load_recipe, recipe_names


def test_every_recipe_of_the_package_loads_under_its_own_name() -> None:
    assert recipe_names() == [
        "finetune",
        "gpu",
        "laptop",
        "maestro",
        "maestro-distil",
        "maestro-gpu",
        "paper",
        "pedal",
        "smoke",
    ]
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_settings_lie_over_the_recipe() -> None:
    settings = ["run.seed=7", "model.settings.width=64", "optimizer.kind=adamw"]
    config = load_recipe("smoke", settings)
    assert config.run.seed == 7
    assert config.model.settings["width"] == 64
    assert config.model.settings["num_heads"] == 4
    assert config.optimizer.kind == "adamw"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("run.sead=7", "sead"),
        ("optimiser.kind='muon'", "optimiser"),
        ("run.seed='seven'", "seed"),
        ("run.seed=true", "seed"),
        ("optimizer.kind=sgd", "sgd"),
        ("windows.latents=1", "latents"),
        ("run.keep=0", "keep"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        load_recipe("smoke", [setting])
    with pytest.raises(InvalidInputError, match=named):
        TrainingConfig.from_dict(apply_settings({}, [setting]), "a file")


@pytest.mark.parametrize("setting", ["run.seed", "=3", "name.x=1"])
def test_what_is_no_setting_is_a_usage_error(setting: str) -> None:
    with pytest.raises(UsageError):
        load_recipe("smoke", [setting])


@pytest.mark.parametrize("more", ["run.keep=5", "[run]\nkeep = 5"])
def test_what_follows_a_value_is_not_lost(more: str) -> None:
    with pytest.raises(UsageError, match="goes on after its value") as refused:
        load_recipe("smoke", [f"run.seed=7\n{more}"])
    assert "\n" not in str(refused.value)


def test_a_value_may_take_several_lines() -> None:
    config = load_recipe("smoke", ["windows.contexts=[\n  [0, 256],\n  [9, 512],\n]\n"])
    assert config.windows.contexts == ((0, 256), (9, 512))


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("lapdog")
    assert "laptop" in (caught.value.hint or "")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("= = =")
    with pytest.raises(InvalidInputError, match="TOML"):
        load_recipe(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidInputError, match="TOML"):
        load_recipe(str(path))
    with pytest.raises(StorageError, match="no such file"):
        load_recipe(str(tmp_path / "absent.toml"))


def test_the_schedule_warms_up_holds_and_decays() -> None:
    schedule = ScheduleConfig(max_steps=100, warmup_steps=10, decay_share=0.4, final_share=0.1)
    assert schedule.rate_at(0) == pytest.approx(0.1)
    assert schedule.rate_at(9) == schedule.rate_at(60) == 1.0
    assert schedule.rate_at(80) == pytest.approx(0.55)
    assert schedule.rate_at(100) == pytest.approx(0.1)


def test_a_cosine_decays_to_its_last_share() -> None:
    schedule = ScheduleConfig(max_steps=100, warmup_steps=0, decay_share=1.0, decay="cosine")
    assert schedule.rate_at(50) == pytest.approx(0.5)
    assert schedule.rate_at(100) == pytest.approx(0.0)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="rates"):
        OptimizerConfig(matrix_rate=-1.0)
    with pytest.raises(ValueError, match="rates"):
        OptimizerConfig(embedding_rate=float("nan"))
    with pytest.raises(ValueError, match="ema_decay"):
        RunConfig(ema_decay=1.0)
    with pytest.raises(ValueError, match="seed"):
        RunConfig(seed=2**31)


def test_what_should_be_a_list_is_told_so() -> None:
    with pytest.raises(UsageError, match="'maestro' is not a list"):
        load_recipe("smoke", ["distillation.teachers=maestro"])
    with pytest.raises(UsageError, match="is not a list of 2"):
        load_recipe("smoke", ["optimizer.betas=[0.9]"])
