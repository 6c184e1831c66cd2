"""Saved steps are whole, old ones go last, and a damaged one is passed over."""

import json
from pathlib import Path

import pytest
import torch

from perceiver_music.errors import InvalidInputError
from perceiver_music.sealed_json import unsealed
from perceiver_music.training.run_state import (
    RunCounts,
    SavedState,
    load_newest,
    save_state,
    step_folders,
)


def state_at(step: int) -> SavedState:
    counts = RunCounts(
        step=step,
        loss_tokens=100 * step,
        num_threads=1,
        precision="fp32",
        world_size=1,
        data_sha256="0" * 64,
    )
    tensor = torch.full((3,), float(step))
    return SavedState(
        counts=counts,
        weights={"w": tensor},
        optimizer={"w/momentum": -tensor},
        averaged={"w": tensor / 2},
    )


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save_state(tmp_path, state_at(5), keep=2)
    loaded = load_newest(tmp_path, pytest.fail)
    assert loaded.counts == state_at(5).counts
    assert torch.equal(loaded.weights["w"], torch.full((3,), 5.0))
    assert torch.equal(loaded.optimizer["w/momentum"], torch.full((3,), -5.0))
    assert torch.equal(loaded.averaged["w"], torch.full((3,), 2.5))


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        save_state(tmp_path, state_at(step), keep=2)
    assert [folder.name for folder in step_folders(tmp_path)] == ["step-00000100", "step-00000010"]
    assert {path.name for path in (tmp_path / "steps").iterdir()} == {
        "step-00000100",
        "step-00000010",
    }


@pytest.mark.parametrize("file", ["model.safetensors", "training.safetensors", "state.json"])
def test_a_damaged_step_is_passed_over_with_a_warning(tmp_path: Path, file: str) -> None:
    save_state(tmp_path, state_at(5), keep=2)
    newest = save_state(tmp_path, state_at(10), keep=2)
    data = (newest / file).read_bytes()
    (newest / file).write_bytes(data[: len(data) // 2])
    warnings: list[str] = []
    assert load_newest(tmp_path, warnings.append).counts.step == 5
    assert "step-00000010" in warnings[0]


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"model.safetensors": 3}},
        {"files": ["model.safetensors"]},
        {"files": None},
        {"step": "ten"},
        {"unreported_nats": 1},
        None,
    ],
    ids=str,
)
def test_a_state_that_says_something_else_is_passed_over(
    tmp_path: Path, change: dict[str, object] | None
) -> None:
    """Such as one from before the seals: there nothing else proves what it says."""
    save_state(tmp_path, state_at(5), keep=2)
    file = save_state(tmp_path, state_at(10), keep=2) / "state.json"
    fields = {**unsealed(json.loads(file.read_text())), "format": "perceiver-music-run-state/1"}
    file.write_text(json.dumps(fields))
    assert load_newest(tmp_path, pytest.fail).counts.step == 10
    file.write_text("[" * 200_000 if change is None else json.dumps({**fields, **change}))
    told: list[str] = []
    assert load_newest(tmp_path, told.append).counts.step == 5
    assert len(told) == 1
    assert "its state.json is damaged" in told[0]


def test_a_run_without_a_step_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no saved step"):
        load_newest(tmp_path, pytest.fail)


def test_a_failed_save_leaves_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, state_at(5), keep=1)

    def no_space(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", no_space)
    with pytest.raises(Exception, match="no space left"):
        save_state(tmp_path, state_at(10), keep=1)
    monkeypatch.undo()
    assert load_newest(tmp_path, pytest.fail).counts.step == 5
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["step-00000005"]


def test_a_step_under_the_name_of_another_is_passed_over(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path, state_at(step), keep=2)
    newest, older = step_folders(tmp_path)
    newest.rename(tmp_path / "aside")
    (tmp_path / "steps" / "step-00000009").mkdir()
    for file in older.iterdir():
        (tmp_path / "steps" / "step-00000009" / file.name).write_bytes(file.read_bytes())
    told: list[str] = []
    assert load_newest(tmp_path, told.append).counts.step == 1
    assert len(told) == 1
    assert "holds step 1" in told[0]
