"""`torch.compile` traces the models without a graph break and changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore

# Apart from the tests' own process: its hook that checks the shapes cannot be traced. The default
# backend needs a C++ compiler; tracing, where a model can go wrong, does not.
PROGRAM = """
import sys, torch
from perceiver_music.model.registry import build_from_preset

architecture, has_padding, counts = sys.argv[1], sys.argv[2] == "True", sys.argv[3] == "True"
fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 24, "vocabulary_size": 20}
if architecture == "perceiver_ar":
    fields["latents"] = 8
if counts:
    firsts = {"note_on": 0, "note_off": 5, "time_shift": 10, "velocity": 14, "suffix": 18}
    sizes = {"num_pitches": 5, "num_shifts": 4, "num_velocities": 4}
    fields |= {"events": {**firsts, "middle": 19, **sizes}, "neighbour_keys": True}
    fields["block"] = {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25}
torch.manual_seed(0)
model = build_from_preset(architecture, "modern", fields)
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.2)
tokens = torch.randint(20, (2, 24))
visible = torch.ones_like(tokens, dtype=torch.bool) if has_padding else None
compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
found = []
for network in (model, compiled):
    model.zero_grad()
    logits = network(tokens, num_latents=8, visible=visible)
    logits.square().mean().backward()
    found.append([logits, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
for eager, traced in zip(*found, strict=True):
    torch.testing.assert_close(eager, traced)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "has_padding", "counts"),
    [
        ("perceiver_ar", True, False),
        ("perceiver_ar", True, True),
        ("perceiver_ar", False, True),
        ("transformer", False, False),
    ],
)
def test_compiled_equals_eager(architecture: str, has_padding: bool, counts: bool) -> None:
    command = [sys.executable, "-c", PROGRAM, architecture, str(has_padding), str(counts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


TRAINING = """
import json, sys
from functools import partialmethod
from pathlib import Path
from torch import nn
from perceiver_music.jobs.train import run
from perceiver_music.jobs.train_request import TrainRequest

nn.Module.compile = partialmethod(nn.Module.compile, backend="aot_eager")
found = []
for choice in ("false", "true"):
    folder = Path(sys.argv[2]) / choice
    settings = (*sys.argv[3:], f"run.compile={choice}")
    run(TrainRequest(data=Path(sys.argv[1]), output=folder, recipe="smoke", settings=settings))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found.append([row["train_nats_per_event"] for row in rows])
    found[-1].append(rows[-1]["validation_nats_per_event"])
assert len(found[0]) == 4, found
assert all(abs(plain - compiled) < 1e-5 for plain, compiled in zip(*found)), found
"""


def test_layers_that_are_compiled_train_as_plain_ones(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    settings = (
        "model.settings={width=16, num_heads=2, num_layers=2, context=64, latents=16}",
        "windows={latents=16, contexts=[[0, 32], [4, 64]], windows_per_step=4}",
        "schedule={max_steps=6, warmup_steps=1}",
        "run={log_every=2, validate_every=6, precision='fp32'}",
    )
    command = [sys.executable, "-c", TRAINING, str(tiny_store.path), str(tmp_path), *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
