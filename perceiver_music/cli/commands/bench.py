"""`perceiver-music bench`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import Checkpoint

if TYPE_CHECKING:
    from perceiver_music.jobs.measuring import Figure

EXAMPLES = ("perceiver-music bench", "perceiver-music bench --json")
_LONGEST_BAR = 24
_BLOCKS = " ▏▎▍▌▋▊▉█"


def bench(
    invocation: Invocation,
    checkpoint: Checkpoint = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Take the medians of so many.")
    ] = 3,
) -> int:
    """Time this machine: decoding, a training step, the tokenizer, start-up.

    Takes about a minute. All in one thread; the bars compare on a logarithmic scale.
    """
    from perceiver_music.jobs import bench as job

    console = invocation.console
    with console.progress("bench") as on_progress:
        result = job.run(checkpoint, rounds=rounds, on_progress=on_progress)
    if result.left_out is not None:
        console.warning(result.left_out)
    if console.as_json:
        invocation.emit(result.as_json())
        return 0
    console.line(f"{result.hardware}, one thread; native code: {result.decoder}")
    longest = max((figure.ratio or 1.0) for figure in result.results)
    console.table(
        ("what", "value", "", "times", "", "against"),
        [_row(figure, longest) for figure in result.results],
    )
    return 0


def _row(figure: Figure, longest: float) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:g}"
    value = f"{figure.value:,.{0 if figure.value >= 1000 else 2}f}".rstrip()
    bar = "" if figure.ratio is None else _bar(figure.ratio, longest)
    return (figure.name, value, figure.unit, ratio, bar, figure.against or "")


def _bar(ratio: float, longest: float) -> str:
    """From nothing at a ratio of one to all of its length at the largest."""
    if longest <= 1.0:
        return ""
    eighths = round(8 * _LONGEST_BAR * max(0.0, math.log(ratio) / math.log(longest)))
    return _BLOCKS[8] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
