"""Promise 6: no NaN and no infinity reaches the disk."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch

from tests.faults.killed_training import train_with_ranks
from tests.faults.ledger import Ledger
from tests.faults.training_runs import (
    difference,
    fingerprint,
    finish,
    is_done,
    start_words,
)
from tests.faults.workshop import Workshop

PLACES = ("loss", "gradient", "weight before the step", "weight after the step", "unused weight")
VALUES = ("nan", "inf", "-inf")
STEPS = (1, 4, 9, 10)


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Every place, value and step; then on one of two ranks only."""
    folder = workshop.fresh("non_finite")
    run = folder / "run"
    words = start_words(workshop, run)
    workshop.commands.run(*words, folder=folder)
    expected = fingerprint(run)
    for place, value, step in _spread(list(itertools.product(PLACES, VALUES, STEPS)), size):
        shutil.rmtree(run)
        ended = workshop.commands.run(
            *words, folder=folder, setup=f"{__name__}:plant", setup_arguments=(place, value, step)
        )
        why = None if ended.code == 76 and ended.is_clean else f"not stopped: {ended}"
        why = why or next(_not_finite(run), None)
        again = finish(workshop.commands, workshop, run)
        found = fingerprint(run) if is_done(again) else {}
        if why is None and found != expected:
            why = difference(expected, found) if found else str(again)
        ledger.enter(why is None, f"{value} in the {place} of step {step}", why)
    _on_one_rank(ledger, max(1, size // 8), workshop)


def _spread(trials: list[tuple[str, str, int]], size: int) -> list[tuple[str, str, int]]:
    return trials if size >= len(trials) else trials[:: max(1, len(trials) // size)][:size]


def _on_one_rank(ledger: Ledger, size: int, workshop: Workshop) -> None:
    folder = workshop.fresh("non_finite_ranks")
    trials = list(itertools.product(PLACES[:4], VALUES[:2], (1,)))
    for number, (place, value, rank) in enumerate(_spread(trials, size)):
        run = folder / f"run-{number}"
        plants = {rank: (f"{__name__}:plant", (place, value, 4))}
        codes = train_with_ranks(workshop, run, plants=plants)
        why = None if codes == [76, 76] else f"codes {codes}"
        why = why or next(_not_finite(run), None)
        ledger.enter(why is None, f"{value} in the {place} of one rank of two", why)
        ledger.count("on one of two ranks")


def _not_finite(run: Path) -> Iterator[str]:
    """Files of a run that hold what is not a finite number."""
    for file in sorted(run.rglob("*.safetensors")):
        for name, tensor in safetensors.torch.load(file.read_bytes()).items():
            if not bool(tensor.isfinite().all()):
                yield f"{file.relative_to(run)}: {name}"
    metrics = run / "metrics.jsonl"
    for line in metrics.read_text().splitlines() if metrics.exists() else []:
        numbers = [value for value in json.loads(line).values() if isinstance(value, float)]
        if not all(math.isfinite(value) for value in numbers):
            yield line


def plant(place: str, value: str, step: int) -> None:
    """In the process of the command: put a number where it does not belong."""
    from typing import Any

    import torch

    from perceiver_music.tokenizer import vocabulary
    from perceiver_music.training.loop import TrainingLoop

    number = float(value)
    train_step, losses = TrainingLoop.train_step, TrainingLoop._losses

    def poison(loop: Any, name: str, row: int = 0) -> None:
        with torch.no_grad():
            loop.model.get_parameter(name)[row] = number

    def poisoned_step(loop: Any) -> Any:
        is_now = loop.counts.step + 1 == step
        if is_now and place == "weight before the step":
            poison(loop, "output.weight", 60)
        if is_now and place == "unused weight":  # no gradient ever tells of the padding's row
            poison(loop, "embedding.weight", vocabulary.PAD)
        if is_now and place == "gradient":
            weight = loop.model.get_parameter("output.weight")
            handle = weight.register_hook(lambda gradient: gradient * number)
        result = train_step(loop)
        if is_now and place == "gradient":
            handle.remove()
        if is_now and place == "weight after the step":
            poison(loop, "output.weight", 60)
        return result

    def poisoned_losses(loop: Any, batch: Any, rng: Any) -> Any:
        is_now = loop.counts.step + 1 == step and place == "loss"
        return tuple(each * (number if is_now else 1.0) for each in losses(loop, batch, rng))

    TrainingLoop.train_step = poisoned_step  # type: ignore[method-assign]
    TrainingLoop._losses = poisoned_losses  # type: ignore[method-assign]
