"""How a job tells its caller how far it is, and what the user should know.

A job calls these; what becomes of it (a bar, a line, nothing) is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report of a running job.

    Attributes:
        done: how much is finished, in `unit`.
        total: how much there is, or None when nobody can know.
        unit: what is counted: "pieces", "events", "bytes", "steps", "seconds".
        message: what is being done now, or the figures worth seeing (a loss); one short line.
    """

    done: float
    total: float | None
    unit: str
    message: str = ""


ProgressCallback = Callable[[Progress], None]
WarningCallback = Callable[[str], None]


def no_progress(progress: Progress) -> None:
    """The default `on_progress`: nobody is looking."""


def no_warning(message: str) -> None:
    """The default `warn`: nobody is listening."""
