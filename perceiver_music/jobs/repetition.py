"""Whether new music comes back, or goes round in circles, and what to do about that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation_request import ContinueResult
from perceiver_music.jobs.progress import WarningCallback
from perceiver_music.music.moments import clock
from perceiver_music.tokenizer import vocabulary as v

if TYPE_CHECKING:
    from perceiver_music.generation.returning import Return
    from perceiver_music.music.performance import Performance

_SAFE_TEMPERATURE: Final = 0.9
"""From there on the benchmarks found nothing that was stuck (`benchmarks/loops`)."""


def circles_from_seconds(new_music: Performance, *, begins_at: float) -> float | None:
    """When the new music begins to repeat itself to its end, in the file; None if it does not."""
    from perceiver_music.evaluation.statistics import circles_from

    found = circles_from(new_music.notes)
    return None if found is None else begins_at + found


def returns_in_file(
    returns: Sequence[Return], *, begins_at: float
) -> tuple[tuple[float, float], ...]:
    """When passages come back, and when they were played before, in seconds of the file."""
    return tuple((_at(begins_at, back.step), _at(begins_at, back.from_step)) for back in returns)


def _at(begins_at: float, step: int) -> float:
    return round(begins_at + step / v.STEPS_PER_SECOND, 3)


def warn_of_circles(result: ContinueResult, warn: WarningCallback) -> None:
    """Tell the user of new music that repeats itself."""
    if result.circles_from_seconds is not None:
        name = result.output or result.primer or "the new music"
        begin = clock(result.circles_from_seconds)
        warn(f"{name}: repeats itself from {begin} on; {_advice(result.sampling)}")


def _advice(sampling: SamplingOptions) -> str:
    """How to draw more freely."""
    if sampling.temperature < _SAFE_TEMPERATURE:
        return "raise --temperature"
    is_narrow = sampling.top_k is not None or sampling.min_p is not None
    return "leave out --top-k and --min-p" if is_narrow else "try another --seed"
