"""Checkpoints come back as they were saved, and damaged ones are refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perceiver_music.errors import (
    InvalidInputError,
    OutputExistsError,
    PerceiverMusicError,
    StorageError,
)
from perceiver_music.model import checkpoint_catalog
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.checkpoint import (
    load_checkpoint,
    save_checkpoint,
)
from perceiver_music.model.checkpoint_description import read_description, verify_checkpoint
from perceiver_music.model.decoding import load_decoder
from perceiver_music.model.registry import build_from_preset
from perceiver_music.sealed_json import sealed, unsealed
from perceiver_music.tokenizer.vocabulary import VOCABULARY_SIZE

DETAILS = {"recipe": {}, "data": {}, "metrics": {"validation_nats_per_event": 2.5}, "licence": "x"}


def small_model(architecture: str = "perceiver_ar") -> SequenceModel:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 24}
    if architecture == "perceiver_ar":
        fields["latents"] = 8
    torch.manual_seed(0)
    fields["vocabulary_size"] = VOCABULARY_SIZE
    model = build_from_preset(architecture, "modern", fields)
    torch.nn.init.normal_(model.get_parameter("output.weight"))
    return model


def save(path: Path, model: SequenceModel, *, overwrite: bool = False) -> str:
    return save_checkpoint(
        path,
        model,
        name="tiny",
        tokenizer_name="maestro-performance-400",
        details=DETAILS,
        card="# tiny\n",
        overwrite=overwrite,
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    save(path, small_model())
    return path


@pytest.mark.parametrize("architecture", ["perceiver_ar", "transformer"])
def test_a_checkpoint_comes_back(tmp_path: Path, architecture: str) -> None:
    model = small_model(architecture)
    sha256 = save(tmp_path / "tiny", model)
    loaded = load_checkpoint(tmp_path / "tiny")
    assert (loaded.name, loaded.sha256) == ("tiny", sha256)
    assert (loaded.context, loaded.latents) == (model.context, model.latents)
    assert not loaded.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor.bfloat16().float())


def test_measuring_a_checkpoint_does_not_make_it_another(saved: Path) -> None:
    path = saved / "checkpoint.json"
    before = read_description(saved).sha256
    fields = unsealed(json.loads(path.read_text()))
    path.write_bytes(sealed({**fields, "name": "known", "metrics": {"test": 2.0}}))
    assert read_description(saved).sha256 == before
    fields["config"]["logit_soft_cap"] = 30.0
    path.write_bytes(sealed(fields))
    assert read_description(saved).sha256 != before


def test_the_files_are_those_promised(saved: Path) -> None:
    assert {file.name for file in saved.iterdir()} == {
        "model.safetensors",
        "checkpoint.json",
        "MODEL_CARD.md",
    }
    assert len({file.stat().st_mode for file in saved.iterdir()}) == 1
    fields = json.loads((saved / "checkpoint.json").read_text())
    assert set(fields["files"]) == {"model.safetensors", "MODEL_CARD.md"}


def test_an_existing_one_is_kept_unless_told(saved: Path) -> None:
    with pytest.raises(OutputExistsError):
        save(saved, small_model())
    save(saved, small_model("transformer"), overwrite=True)
    assert read_description(saved).fields["architecture"] == "transformer"
    assert [path.name for path in saved.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("file", ["model.safetensors", "MODEL_CARD.md"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_refused_by_name(saved: Path, file: str, damage: str) -> None:
    path = saved / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[:-1])
    with pytest.raises(InvalidInputError, match=file):
        verify_checkpoint(saved)
    with pytest.raises(InvalidInputError, match=file):
        load_checkpoint(saved)


@pytest.mark.parametrize("decoder", ["torch", "fp32"])
def test_what_is_computed_with_is_what_was_verified(
    saved: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    """Other weights come under the name of the verified ones as soon as those are opened."""

    def logits() -> np.ndarray:
        model = load_decoder(saved, device="cpu", decoder=decoder).model
        return np.asarray(model.begin([392, 40, 41]).logits)

    expected = logits()
    other, model = saved.parent / "other", small_model()
    torch.nn.init.normal_(model.get_parameter("output.weight"))
    save(other, model)
    real = Path.open

    def open_and_replace(self: Path, *args: Any, **fields: Any) -> Any:
        stream = real(self, *args, **fields)
        if self == saved / "model.safetensors":
            shutil.copyfile(other / self.name, other / "copy")
            (other / "copy").replace(self)
        return stream

    monkeypatch.setattr(Path, "open", open_and_replace)
    np.testing.assert_array_equal(logits(), expected)
    monkeypatch.undo()
    with pytest.raises(InvalidInputError, match="damaged"):
        logits()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other/1"},
        {"name": 3},
        {"architecture": "unknown"},
        {"config": {}},
        {"config": {"block": {"width": 16, "num_heads": 2}, "vocabulary_size": 10**12}},
        {"tokenizer": {"name": "x", "fingerprint": "other"}},
        {"files": {}},
        {"files": {"model.safetensors": 3}},
        {"files": {"../x": {"bytes": 1, "sha256": ""}, "model.safetensors": {}}},
    ],
)
def test_a_description_that_lies_is_refused(saved: Path, change: dict[str, object]) -> None:
    path = saved / "checkpoint.json"
    path.write_bytes(sealed({**unsealed(json.loads(path.read_text())), **change}))
    with pytest.raises(InvalidInputError):
        load_checkpoint(saved)


def test_an_edited_description_is_refused(saved: Path) -> None:
    path = saved / "checkpoint.json"
    path.write_text(path.read_text().replace('"latents": 8', '"latents": 9'))
    with pytest.raises(InvalidInputError, match="damaged or was edited"):
        read_description(saved)


def test_a_description_from_before_the_seals_is_read(saved: Path) -> None:
    path = saved / "checkpoint.json"
    fields = unsealed(json.loads(path.read_text()))
    path.write_text(json.dumps({**fields, "format": "perceiver-music-checkpoint/1"}))
    assert load_checkpoint(saved).name == "tiny"


@pytest.mark.parametrize("text", ["", "[", "[1]", "{}", "[" * 100_000, "\x00"])
def test_what_is_no_description_is_refused(saved: Path, text: str) -> None:
    (saved / "checkpoint.json").write_text(text)
    with pytest.raises(InvalidInputError):
        read_description(saved)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PerceiverMusicError):
        read_description(tmp_path)


def test_checkpoints_are_found_by_name_path_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "checkpoints" / "mine", small_model())
    save(tmp_path / "runs" / "r" / "checkpoint", small_model())
    resolve = checkpoint_catalog.resolve_checkpoint
    assert resolve("mine").resolve() == tmp_path / "checkpoints" / "mine"
    assert resolve(tmp_path / "checkpoints" / "mine").is_dir()
    assert resolve("runs/r").name == "checkpoint"
    assert "mine" in {place.name for place in checkpoint_catalog.list_checkpoints()}
    with pytest.raises(StorageError, match="no such checkpoint") as missing:
        resolve("nobody")
    assert "mine" in (missing.value.hint or "")
    (tmp_path / "notes.txt").write_text("no checkpoint")
    with pytest.raises(InvalidInputError, match="not a checkpoint"):
        resolve("notes.txt")
