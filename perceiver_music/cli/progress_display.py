"""What a job's progress looks like: a Rich bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceiver_music.jobs.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def bar(console: RichConsole, title: str) -> Iterator[ProgressCallback]:
    """A bar with count, rate and time left, gone when the work is done."""
    from rich import progress as rich_progress
    from rich.markup import escape

    display = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.TextColumn("{task.fields[count]}"),
        rich_progress.TimeRemainingColumn(compact=True),
        rich_progress.TextColumn("{task.fields[message]}", style="dim"),
        console=console,
        transient=True,
        refresh_per_second=4,
        expand=True,
    )
    started = time.perf_counter()
    task = display.add_task(escape(title), total=None, count="", message="")

    def show(progress: Progress) -> None:
        seconds = max(time.perf_counter() - started, 1e-6)
        display.update(
            task,
            completed=progress.done,
            total=progress.total,
            count=count_and_rate(progress, seconds),
            message=escape(progress.message),
        )

    with display:
        yield show


def count_and_rate(progress: Progress, seconds: float) -> str:
    """`120/2,000 steps, 3.1 steps/s`."""
    if progress.unit == "bytes":
        total = "" if progress.total is None else f"/{progress.total / 1e6:.1f}"
        return f"{progress.done / 1e6:.1f}{total} MB, {progress.done / 1e6 / seconds:.1f} MB/s"
    total = "" if progress.total is None else f"/{progress.total:,.0f}"
    rate = progress.done / seconds
    digits = 0 if rate >= 100 else 1
    return f"{progress.done:,.0f}{total} {progress.unit}, {rate:,.{digits}f}/s"


class PlainLines:
    """A line every ten seconds, and one for the end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started = time.perf_counter()
        self._last = float("-inf")

    def __call__(self, progress: Progress) -> None:
        now = time.perf_counter()
        finished = progress.total is not None and progress.done >= progress.total
        if now - self._last < SECONDS_BETWEEN_LINES and not finished:
            return
        self._last = now
        line = count_and_rate(progress, max(now - self._started, 1e-6))
        if progress.total and progress.done and not finished:
            left = (now - self._started) * (progress.total / progress.done - 1)
            line += f", {left:.0f} s left"
        self._say(f"{line}, {progress.message}" if progress.message else line)
