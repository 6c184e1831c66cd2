"""What `bench` measures: processor time, in medians of rounds in which all take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Measure = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the answer.

    Attributes:
        name: what was measured.
        value: how much, in `unit`.
        against: what `ratio` compares it with; None where there is nothing.
        ratio: how many times better it is.
    """

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None


def medians(measures: dict[str, Measure], rounds: int) -> dict[str, float]:
    """The median of each; all take turns."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def seconds_of(work: Callable[[], object]) -> float:
    """Processor time of it."""
    started = time.process_time()
    work()
    return time.process_time() - started
