"""What a job's progress looks like: a Rich bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from perceiver_music.jobs.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

SECONDS_BETWEEN_LINES = 10.0
_SLOW = 0.2
"""Units a second, below which a rate of one decimal says little."""


@contextmanager
def bar(console: RichConsole, title: str) -> Iterator[ProgressCallback]:
    """A bar with count, rate and time left, gone when the work is done."""
    from rich import progress as rich_progress
    from rich.markup import escape
    from rich.table import Column
    from rich.text import Text

    message = ""

    class BarAndMessage(rich_progress.Progress):
        """The bar, and what is being done now on a line of its own."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            if message:
                yield Text(message, style="dim", no_wrap=True, overflow="ellipsis")

    title_column = Column(max_width=console.width // 3, no_wrap=True, overflow="ellipsis")
    display = BarAndMessage(
        rich_progress.TextColumn("{task.description}", table_column=title_column),
        rich_progress.BarColumn(bar_width=None),
        rich_progress.TextColumn("{task.fields[count]}"),
        rich_progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        refresh_per_second=4,
        expand=True,
    )
    pace = Pace()
    task = display.add_task(escape(title), total=None, count="")

    def show(progress: Progress) -> None:
        nonlocal message
        message = progress.message
        display.update(
            task,
            completed=progress.done,
            total=progress.total,
            count=count_and_rate(progress, pace.of(progress)),
        )

    with display:
        yield show


class Pace:
    """How fast a job is, since its first report: one that is resumed has not done it all now."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def of(self, progress: Progress) -> float | None:
        """Units a second; None while nobody can know."""
        now = time.perf_counter()
        if self._first is None:
            self._first = (now, progress.done)
        began, done_before = self._first
        done = progress.done - done_before
        return done / (now - began) if done > 0 and now > began else None


def count_and_rate(progress: Progress, rate: float | None) -> str:
    """`120/2,000 steps, 3.1/s`, or `1/150 steps, 47 s each`."""
    if progress.unit == "bytes":
        total = "" if progress.total is None else f"/{progress.total / 1e6:.1f}"
        count = f"{progress.done / 1e6:.1f}{total} MB"
        return count if rate is None else f"{count}, {rate / 1e6:.1f} MB/s"
    total = "" if progress.total is None else f"/{progress.total:,.0f}"
    count = f"{progress.done:,.0f}{total} {progress.unit}"
    if rate is None:
        return count
    if rate < _SLOW:
        return f"{count}, {1 / rate:,.0f} s each"
    return f"{count}, {rate:,.{0 if rate >= 100 else 1}f}/s"


class PlainLines:
    """A line every ten seconds, and one for the end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._pace = Pace()
        self._last_time = float("-inf")

    def __call__(self, progress: Progress) -> None:
        now = time.perf_counter()
        rate = self._pace.of(progress)
        finished = progress.total is not None and progress.done >= progress.total
        if now - self._last_time < SECONDS_BETWEEN_LINES and not finished:
            return
        self._last_time = now
        line = count_and_rate(progress, rate)
        if progress.total is not None and rate and not finished:
            left = timedelta(seconds=round((progress.total - progress.done) / rate))
            line += f", {left} left"
        self._say(f"{line}, {progress.message}" if progress.message else line)
