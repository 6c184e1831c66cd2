"""`perceiver-music evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli import failures
from perceiver_music.cli.inputs import InputFile, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import Checkpoint, Context, Device, Latents, announce_device
from perceiver_music.errors import PartialFailureError, PerceiverMusicError, UsageError

if TYPE_CHECKING:
    from perceiver_music.cli.console import Console
    from perceiver_music.jobs.evaluate import EvaluateResult

DEFAULT_SPLIT = "test"
EXAMPLES = (
    "perceiver-music evaluate --data data/maestro.store --split test",
    "perceiver-music evaluate song.mid --checkpoint runs/laptop-1 --json",
)


def evaluate(
    invocation: Invocation,
    midi: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MIDI",
            help="Files, folders, globs, or - for stdin: a file or list of paths; not with --data.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="STORE",
            help="The token store that preprocess made.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="train|validation|test",
            help="Which pieces of the store.",
            show_default=DEFAULT_SPLIT,
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    context: Context = None,
    latents: Latents = None,
    stride: Annotated[
        int | None,
        typer.Option(
            "--stride",
            metavar="N",
            help="Events newly scored per window.",
            show_default="half the latents",
        ),
    ] = None,
    max_pieces: Annotated[
        int | None,
        typer.Option("--max-pieces", metavar="N", help="Only the first N.", show_default="all"),
    ] = None,
    per_event: Annotated[
        bool, typer.Option("--per-event", help="With --json: the nats of each event, too.")
    ] = False,
    device: Device = "auto",
) -> int:
    """Measure how likely a model finds whole pieces that it has not heard.

    Nats per event, per note and per second of music; lower is better. Every event is scored once.
    """
    from perceiver_music.jobs import evaluate as job
    from perceiver_music.jobs.context_choice import doubt_about_context
    from perceiver_music.jobs.models import info

    console = invocation.console
    if per_event and not console.as_json:
        raise UsageError("--per-event goes with --json", hint="Add --json.")
    inputs = resolve_inputs(midi or ())
    good = _readable(invocation, inputs)
    num_failed = len(inputs) - len(good)
    if num_failed and not good:
        return PartialFailureError.exit_code
    files = tuple(item.source for item in good)
    request = job.EvaluateRequest(
        data=data,
        files=files,
        checkpoint=checkpoint,
        split=split or DEFAULT_SPLIT,
        context=context,
        latents=latents,
        stride=stride,
        max_pieces=max_pieces,
        per_event=per_event,
        device=device,
    )
    if files and split is not None:
        console.warning("--split is of a store: the files that are named are evaluated, all alike")
    announce_device(console, device)
    if context is not None:
        doubt = doubt_about_context(context, info(checkpoint).description)
        if doubt is not None:
            console.warning(doubt)
    with console.progress("evaluate") as on_progress:
        result = job.run(request, on_progress, console.warning)
    names = [item.name for item in good[:max_pieces]]
    if console.as_json:
        invocation.emit(result.as_json(), inputs=[data] if data is not None else names)
    else:
        _print(console, result)
    return PartialFailureError.exit_code if num_failed else 0


def _readable(invocation: Invocation, inputs: Sequence[InputFile]) -> Sequence[InputFile]:
    """Those that can be scored; of several, the failure of each other is told."""
    if len(inputs) < 2:
        return inputs
    from perceiver_music.jobs.evaluate_pieces import readable

    good: list[InputFile] = []
    for item in inputs:
        try:
            readable(item.source)
            good.append(item)
        except PerceiverMusicError as error:
            failures.report(error, invocation.console)
            invocation.emit_failure(error, inputs=[item.name])
    return good


def _print(console: Console, result: EvaluateResult) -> None:
    fields = result.as_json()
    if len(result.pieces) > 1:
        pieces = [
            (f"{piece.nats.mean():.4f}", f"{piece.events:,}", piece.title)
            for piece in result.pieces
        ]
        console.table(("nats/event", "events", "piece"), pieces)
        console.line("")
    rows = [
        (name.replace("_", " "), f"{fields[name]:.4f}")
        for name in ("nats_per_event", "nats_per_note", "nats_per_second")
        if fields[name] is not None
    ]
    rows += [(name, f"{fields[name]:,.0f}") for name in ("pieces", "events", "notes", "seconds")]
    rows += [(name, f"{fields[name]:,}") for name in ("context", "latents", "stride")]
    rows += [(name, str(fields[name])) for name in ("checkpoint", "source")]
    console.table(("measure", "value"), rows)
