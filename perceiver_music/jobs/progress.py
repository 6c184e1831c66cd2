"""How a job tells its caller how far it is, and what the user should know.

A job calls these; what becomes of it (a bar, a line, nothing) is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Continuation
    from perceiver_music.generation.limits import Limits


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


def progress_of(music: Continuation, limits: Limits) -> Progress:
    """How much new music there is, as its length is counted."""
    if limits.num_events is not None:
        return Progress(done=len(music.ids), total=limits.num_events, unit="events")
    if limits.num_notes is not None:
        return Progress(done=music.num_notes, total=limits.num_notes, unit="notes")
    total = None if limits.end_step is None else limits.end_step / 100
    return Progress(done=music.step / 100, total=total, unit="seconds")
