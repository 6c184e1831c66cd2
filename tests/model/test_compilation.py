"""`torch.compile` traces the models without a graph break and changes nothing."""

import subprocess
import sys

import pytest

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
