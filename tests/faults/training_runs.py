"""Small training runs by the real command, ended in all ways, and what they must end as."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.numpy

from perceiver_music.files import sha256_of_bytes, sha256_of_file
from perceiver_music.model.checkpoint_description import verify_checkpoint
from tests.faults.commands import Commands, Ended, StorageFault
from tests.faults.workshop import Workshop

STEPS = 10
TIMES = ("seconds", "loss_tokens_per_second")
"""What of a report differs from run to run."""

SETTINGS = {
    "model.settings": "{width=16, num_heads=2, num_layers=1, context=64, latents=16}",
    "windows.latents": "16",
    "windows.contexts": "[[0, 32]]",
    "windows.windows_per_step": "4",
    "windows.prefix_dropout": "0.1",
    "windows.augmentation": "{transpose=2, velocity_shift=1, stretch=[0.95, 1.0, 1.05]}",
    "run.ema_decay": "0.9",
    "run.precision": "fp32",
    "run.log_every": "2",
    "run.validate_every": "5",
    "run.validation_events": "100",
    "run.checkpoint_every": "3",
    "run.keep": "2",
}
"""Reports, validation and saving fall on different steps: each is met between the others."""


def start_words(workshop: Workshop, run: Path, *settings: str, steps: int = STEPS) -> list[str]:
    """The command that begins a run."""
    own = [f"{name}={value}" for name, value in SETTINGS.items()]
    words = ["train", "--data", str(workshop.store), "--output", str(run), "--recipe", "smoke"]
    words += ["--device", "cpu", "--max-steps", str(steps), "--json"]
    return words + [word for one in (*own, *settings) for word in ("--set", one)]


def resume_words(run: Path) -> list[str]:
    """The command that goes on with it."""
    return ["train", "--output", str(run), "--resume", "--device", "cpu", "--json"]


def next_words(workshop: Workshop, run: Path, *settings: str) -> list[str]:
    """What a user types after a run has died: resume it, if it had come so far as to be one."""
    has_begun = (run / "run.json").exists()
    return resume_words(run) if has_begun else start_words(workshop, run, *settings)


def finish(
    commands: Commands, workshop: Workshop, run: Path, *settings: str, tries: int = 3
) -> Ended:
    """Go on with a run until it is done."""
    ended = commands.run(*next_words(workshop, run, *settings), folder=run.parent)
    while tries and ended.code in (-signal.SIGKILL, 130, 143):
        ended = commands.run(*next_words(workshop, run, *settings), folder=run.parent)
        tries -= 1
    return ended


def is_done(ended: Ended) -> bool:
    """Whether it says that the run is done, now or already."""
    return ended.code == 0 or (ended.code == 2 and f"at step {STEPS} already" in ended.stderr)


def fingerprint(run: Path) -> dict[str, Any]:
    """All that must be equal however a run came to its end."""
    newest = max((run / "steps").glob("step-*"))
    state = json.loads((newest / "state.json").read_text())
    return {
        "step": newest.name,
        "weights": sha256_of_file(newest / "model.safetensors"),
        "optimizer and average": _tensors(newest / "training.safetensors"),
        "cursor": [state[name] for name in ("step", "loss_tokens", "data_sha256", "num_threads")],
        "metrics": list(metrics(run)),
        "checkpoint": verify_checkpoint(run / "checkpoint").sha256,
        "leavings": sorted(str(path.relative_to(run)) for path in run.rglob(".*")),
    }


def _tensors(file: Path) -> str:
    """A checksum of tensors whose order in the file is not fixed."""
    tensors = safetensors.numpy.load_file(file)
    parts = (name.encode() + tensors[name].tobytes() for name in sorted(tensors))
    return sha256_of_bytes(b"".join(parts))


def metrics(run: Path) -> Iterator[dict[str, Any]]:
    """The reports of a run, without what depends on the clock or its name."""
    for line in (run / "metrics.jsonl").read_text().splitlines():
        report = json.loads(line)
        yield {name: report[name] for name in report if name not in (*TIMES, "run", "checkpoint")}


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Which parts of two fingerprints differ."""
    parts = [name for name in one if one[name] != other.get(name)]
    return ", ".join(f"{name}: {one[name]} / {other.get(name)}" for name in parts)[:400]


def storage_calls(workshop: Workshop, run: Path, letters: str) -> str:
    """The storage calls of a whole run in its folder, a letter each."""
    fault = StorageFault(folder=run, letters=letters)
    ended = workshop.commands.run(*start_words(workshop, run), folder=run.parent, fault=fault)
    assert ended.code == 0, ended
    return ended.calls
