"""Which decoder is taken, and that torch stays out where the native one computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from perceiver_music.bundled import bundled_checkpoints
from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.model import decoding
from perceiver_music.model.decoding import load_decoder
from perceiver_music.model.native.library import kernel_names
from perceiver_music.model.native.weights import NotNative
from tests.faults.hostile_files import plant
from tests.jobs.test_infill import RECIPE, saved

needs_library = pytest.mark.skipif(not kernel_names(), reason="the library is not compiled")


@pytest.fixture
def checkpoint() -> Path:
    return bundled_checkpoints() / "maestro"


@needs_library
def test_int8_and_fp32_predict_what_torch_predicts(checkpoint: Path) -> None:
    tokens = [392, *range(40, 60), *range(300, 320)]
    expected = load_decoder(checkpoint, device="cpu", decoder="torch")
    logits = expected.model.begin(tokens).logits.numpy()
    assert expected.computed_with["torch"]
    for precision, most in (("fp32", 1e-3), ("int8", 0.5)):
        loaded = load_decoder(checkpoint, device="cpu", decoder=precision)
        np.testing.assert_allclose(loaded.model.begin(tokens).logits, logits, atol=most, rtol=0)
        assert loaded.computed_with == {
            "device": "cpu",
            "decoder": f"native {precision}",
            "kernel": kernel_names()[0],
            "threads": 1,
            "policy": "exact",
            "torch": None,
        }
    assert load_decoder(checkpoint, device="cpu").engine == "native int8"


@needs_library
@pytest.mark.parametrize("device", ["auto", "cpu:0"])
def test_the_native_decoder_is_tried_wherever_the_device_is_the_processor(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(decoding, "_GPU_FILES", (str(checkpoint),))  # a card that torch cannot use
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    loaded = load_decoder(checkpoint, device=device)
    assert (loaded.engine, loaded.device) == ("native int8", "cpu")
    assert load_decoder(checkpoint, device=device, decoder="fp32").engine == "native fp32"
    assert load_decoder(checkpoint, device=device, decoder="int8").engine == "native int8"


def test_a_card_that_torch_can_use_is_taken(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_GPU_FILES", (str(checkpoint),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    on_device, asked = decoding._torch, []

    def on_processor(path: Path, device: str, policy: str) -> decoding.LoadedDecoder:
        asked.append(device)
        return on_device(path, "cpu", policy)

    monkeypatch.setattr(decoding, "_torch", on_processor)
    assert load_decoder(checkpoint, device="auto").engine == "torch"
    assert asked == ["auto"]


@needs_library
def test_a_native_decoder_needs_no_torch(checkpoint: Path) -> None:
    script = (
        "import sys; from perceiver_music.model.decoding import load_decoder; "
        f"load_decoder({str(checkpoint)!r}, decoder='int8').model.begin([392]); "
        "from perceiver_music.generation import continuation; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_a_model_that_is_not_compiled_does_not_load_the_compiler() -> None:
    script = "import sys; import perceiver_music.model.perceiver_ar; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "torch" in loaded
    assert "torch._dynamo" not in loaded


def test_without_the_library_torch_computes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise NotNative("the native library is not there")

    monkeypatch.setattr(decoding, "_native", gone)
    assert load_decoder(checkpoint, device="cpu").engine == "torch"
    assert load_decoder(checkpoint, device="cpu", decoder="fp32").engine == "torch"
    with pytest.raises(UnavailableError, match="is not there"):
        load_decoder(checkpoint, decoder="int8")


def test_impossible_choices_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no decoder"):
        load_decoder(checkpoint, decoder="int4")
    with pytest.raises(UsageError, match="not on cuda"):
        load_decoder(checkpoint, decoder="int8", device="cuda")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in checkpoint.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    with (damaged / "model.safetensors").open("r+b") as stream:
        stream.seek(100_000)
        byte = stream.read(1)[0]
        stream.seek(100_000)
        stream.write(bytes([byte ^ 1]))
    for decoder in ("auto", "int8", "fp32", "torch"):
        with pytest.raises(InvalidInputError):
            load_decoder(damaged, device="cpu", decoder=decoder)


@pytest.mark.parametrize("decoder", ["auto", "int8", "fp32", "torch"])
@pytest.mark.parametrize(
    "name",
    [
        "bytes behind the end",
        "a pickle behind a header",
        "a hole",
        "overlapping tensors",
        "a wide network",
        "a context of nothing",
        "a negative context",
        "a context of text",
    ],
)
def test_a_hostile_checkpoint_is_refused_as_such_whatever_was_to_decode_it(
    tiny: Path, tmp_path: Path, name: str, decoder: str
) -> None:
    with pytest.raises(InvalidInputError):
        load_decoder(plant(name, tiny, tmp_path / "x"), device="cpu", decoder=decoder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(saved(tmp_path_factory.mktemp("models") / "tiny", RECIPE))
    for decoder in ("int8", "torch"):
        load_decoder(path, device="cpu", decoder=decoder)
    return path
