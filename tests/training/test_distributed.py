"""Two processes over gloo compute what one does with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import UsageError
from perceiver_music.training.distributed import own_device, process_group

PROGRAM = """
import json, sys
from pathlib import Path
from perceiver_music.jobs.train import run
from perceiver_music.jobs.train_request import TrainRequest
settings = json.loads(sys.argv[3])
request = TrainRequest(
    data=Path(sys.argv[1]), output=Path(sys.argv[2]), recipe="smoke", settings=tuple(settings),
    device="cpu", precision="fp32",
)
run(request)
"""
SETTINGS = (
    "model.settings={width=16, num_heads=2, num_layers=1, context=64, latents=16}",
    "windows.latents=16",
    "windows.contexts=[[0, 32]]",
    "windows.windows_per_step=4",
    "windows.short_context_share=0.5",
    # Muon works in bf16, which makes a rounding of the sum into one of the step.
    "optimizer.kind=adamw",
    "optimizer.matrix_rate=0.002",
    "run.windows_per_pass=1",
    "run.log_every=1",
    "run.validate_every=8",
    "schedule.max_steps=8",
)


def train(launcher: list[str], store: TokenStore, run_folder: Path, program: Path) -> list[dict]:
    command = [*launcher, str(program), str(store.path), str(run_folder), json.dumps(SETTINGS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = (run_folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_two_processes_equal_one(tiny_store: TokenStore, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    one = train([sys.executable], tiny_store, tmp_path / "one", program)
    module = "torch.distributed.run"
    torchrun = [sys.executable, "-m", module, "--standalone", "--nproc-per-node=2"]
    two = train(torchrun, tiny_store, tmp_path / "two", program)
    assert [line["step"] for line in two] == list(range(1, 9))
    for key in ("train_nats_per_event", "validation_nats_per_event", "loss_tokens"):
        values_of_one = [line[key] for line in one if line[key] is not None]
        values_of_two = [line[key] for line in two if line[key] is not None]
        assert values_of_two == pytest.approx(values_of_one, abs=1e-5), key


@pytest.mark.parametrize(
    ("device", "named", "way_out"),
    [("mps", "on mps", "--device cpu"), ("cuda:1", "on cuda:1", "--device cuda;")],
)
def test_where_several_processes_cannot_compute(
    monkeypatch: pytest.MonkeyPatch, device: str, named: str, way_out: str
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert own_device(torch.device(device)) == torch.device(device)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=named) as refused:
        own_device(torch.device(device))
    assert way_out in (refused.value.hint or "")


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert own_device(torch.device("cuda")) == torch.device("cuda:3")
    assert taken == [torch.device("cuda:3")]
    assert own_device(torch.device("cpu")) == torch.device("cpu")


def test_several_processes_that_nobody_told_where_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="RANK"), process_group(torch.device("cpu")):
        pytest.fail("it is alone")
