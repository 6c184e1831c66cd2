"""Training runs of a fixed amount of processor time, begun or gone on with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from perceiver_music.jobs import train
from perceiver_music.jobs.train_request import TrainRequest

TIMED_STEPS = (2, 12)


def train_once(
    store: Path, folder: Path, settings: tuple[str, ...], *, max_steps: int, device: str = "cpu"
) -> dict[str, Any]:
    """One run, from the start or from where it stood; its last report."""
    is_begun = (folder / "run.json").exists()
    request = TrainRequest(
        data=store,
        output=folder,
        recipe=None if is_begun else "maestro",
        settings=() if is_begun else settings,
        resume=is_begun,
        device=device,
        max_steps=max_steps,
    )
    return train.run(request).as_json()


def seconds_a_step(store: Path, folder: Path, settings: tuple[str, ...]) -> float:
    """Processor time of a training step, by some of them, in fresh runs inside `folder`.

    What a run does before its first step and after its last is the same for all, and left out.
    """
    used = []
    for steps in TIMED_STEPS:
        start = time.process_time()
        train_once(store, folder / f"timing-{steps}", settings, max_steps=steps)
        used.append(time.process_time() - start)
    return (used[1] - used[0]) / (TIMED_STEPS[1] - TIMED_STEPS[0])
