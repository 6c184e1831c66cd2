"""Our events per second against those of other implementations, on the same work, in turn."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.decoding.contenders import Voices, build, native, packed, primer
from benchmarks.provenance import torch_made_with
from benchmarks.rivals.environments import python_of

RESULTS = Path(__file__).with_name("results.json")
RIVAL = Path(__file__).with_name("rival.py")
PRIMER_EVENTS = 4096


@dataclass
class Contestant:
    """One of those that take turns: what it makes in a round, and what it took so far."""

    name: str
    steps: int
    batch: int
    first_event_seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """Make the events of one round."""
        raise NotImplementedError

    def end(self) -> None:
        """Leave."""

    @property
    def events_per_second(self) -> float:
        """The median over the rounds."""
        return self.steps * self.batch / statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            **self.facts,
            "batch": self.batch,
            "steps_a_round": self.steps,
            "events_per_second": round(self.events_per_second, 2),
            "first_event_seconds": round(self.first_event_seconds, 3),
        }


class Rival(Contestant):
    """Another implementation, in a process and an environment of its own."""

    def __init__(self, name: str, python: Path, *, steps: int, batch: int = 1) -> None:
        super().__init__(name if batch == 1 else f"{name}, batch {batch}", steps, batch)
        self._process = subprocess.Popen(
            [python, RIVAL, name, "--batch", str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
        self.facts = self._answer()
        self.first_event_seconds = self.facts.pop("first_event_seconds")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def take_turn(self) -> None:
        """See `Contestant.take_turn`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.steps}\n")
        self._process.stdin.flush()
        self.seconds.append(self._answer()["seconds"])

    def end(self) -> None:
        """See `Contestant.end`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Ours(Contestant):
    """One of our ways of decoding; every round begins where the last one ended."""

    def __init__(self, name: str, decoder: Any, *, steps: int, batch: int = 1) -> None:
        super().__init__(f"ours, {name}", steps, batch)
        self._decoder, self._voices = decoder, Voices(batch)
        started = time.process_time()
        self._states = decoder.begin_many([primer(PRIMER_EVENTS)] * batch)
        self.first_event_seconds = time.process_time() - started

    def take_turn(self) -> None:
        """See `Contestant.take_turn`."""
        started = time.process_time()
        for _ in range(self.steps):
            tokens = self._voices.draw([state.logits for state in self._states])
            self._decoder.advance_many(self._states, tokens)
        self.seconds.append(time.process_time() - started)


def contestants(folder: Path) -> list[Contestant]:
    """All of them, their primers read."""
    model = build("20M")
    int8, fp32 = native(model, "int8"), native(model, "fp32")
    int8.begin(primer(PRIMER_EVENTS))
    transformers = python_of(folder, "transformers")
    return [
        Ours("native int8", int8, steps=1024),
        Ours("native fp32", fp32, steps=1024),
        Ours("torch fp32", packed(model), steps=256),
        Ours("native int8, batch 8", int8, steps=256, batch=8),
        Rival("perceiver-io", python_of(folder, "perceiver-io"), steps=64),
        Rival("llama", transformers, steps=48),
        Rival("gpt2", transformers, steps=48),
        Rival("perceiver-ar-pytorch", python_of(folder, "perceiver-ar-pytorch"), steps=6),
        Rival("llama", transformers, steps=6, batch=8),
    ]


def ratios(found: dict[str, Contestant]) -> dict[str, float]:
    """The bars of the project, each with what stands against it."""
    speed = {name: contestant.events_per_second for name, contestant in found.items()}
    first = {name: contestant.first_event_seconds for name, contestant in found.items()}
    int8, batch = speed["ours, native int8"], speed["ours, native int8, batch 8"]
    return {
        "int8 over perceiver-io": int8 / speed["perceiver-io"],
        "torch fp32 over perceiver-io": speed["ours, torch fp32"] / speed["perceiver-io"],
        "int8 over llama": int8 / speed["llama"],
        "int8 over gpt2": int8 / speed["gpt2"],
        "int8 over perceiver-ar-pytorch": int8 / speed["perceiver-ar-pytorch"],
        "int8 over llama, batch 8": batch / speed["llama, batch 8"],
        "first event: llama over int8": first["llama"] / first["ours, native int8"],
    }


def main() -> None:
    """Let all take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where `environments` put them")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {contestant.name: contestant for contestant in contestants(arguments.folder)}
    for _ in range(arguments.rounds):
        for contestant in found.values():
            contestant.take_turn()
    for contestant in found.values():
        contestant.end()
    result = {
        "primer_events": PRIMER_EVENTS,
        "rounds": arguments.rounds,
        "seconds_are": "processor time of one thread",
        "contestants": {name: contestant.as_json() for name, contestant in found.items()},
        "ratios": {name: round(ratio, 1) for name, ratio in ratios(found).items()},
        "date": datetime.date.today().isoformat(),
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
