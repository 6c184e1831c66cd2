"""What `train` is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from perceiver_music.errors import UsageError
from perceiver_music.training.config import PRECISIONS
from perceiver_music.training.torchrun import world_size


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What to train.

    Attributes:
        data: the token store; None for the only one in `data/`.
        output: the run folder; None for a fresh one under `runs/`, or the newest to resume.
        recipe: a recipe's name or file; None for `gpu` or `laptop` after the device.
        settings: `section.key=value`, laid over the recipe (or, resuming, over the run's own).
        max_steps: overrides the recipe's; the schedule stretches with it.
        max_minutes: stop, saved, after this long.
        resume: go on with the run.
        init: a checkpoint whose weights and model to start from.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: `auto`, `fp32`, `bf16`; None for the recipe's.
    """

    data: Path | None = None
    output: Path | None = None
    recipe: str | None = None
    settings: tuple[str, ...] = ()
    max_steps: int | None = None
    max_minutes: float | None = None
    resume: bool = False
    init: str | None = None
    device: str = "auto"
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.resume and (self.recipe or self.init):
            raise UsageError(
                "--resume goes on with the run's own recipe and weights",
                hint="Leave out --recipe and --init; --set and --max-steps may change a run.",
            )
        if self.output == Path("-"):
            raise UsageError(
                "--output - cannot carry a run, which is a folder",
                hint="Name the folder, such as --output runs/mine.",
            )
        if self.max_steps is not None and self.max_steps < 1:
            raise UsageError("--max-steps is 1 or more")
        if self.max_minutes is not None and not 0 < self.max_minutes < math.inf:
            raise UsageError(
                f"--max-minutes is a number above 0, not {self.max_minutes:g}",
                hint="Leave it out to train without a limit of time.",
            )
        if self.precision not in (None, *PRECISIONS):
            raise UsageError(
                f"--precision is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, "
                f"not {self.precision!r}"
            )
        if self.is_distributed and self.output is None:
            raise UsageError(
                "several processes need to be told their run folder", hint="Give --output RUN."
            )

    @property
    def is_distributed(self) -> bool:
        """Whether `torchrun` started us among others."""
        return world_size() > 1

    @property
    def all_settings(self) -> tuple[str, ...]:
        """The settings with those that have flags of their own."""
        extra = [] if self.max_steps is None else [f"schedule.max_steps={self.max_steps}"]
        if self.precision is not None:
            extra.append(f"run.precision={self.precision}")
        return (*self.settings, *extra)
