"""`perceiver-music train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from perceiver_music.cli.completion import complete_checkpoint, complete_recipe
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import OUTPUT_PANEL, Device, announce_device

EXAMPLES = (
    "perceiver-music train --data data/maestro.store --recipe laptop --max-minutes 60",
    "perceiver-music train --resume --output runs/laptop-1",
    "perceiver-music train --init maestro --data mine.store --set optimizer.matrix_rate=0.005",
    "torchrun --nproc-per-node 4 -m perceiver_music train --output runs/big",
)


def train(
    invocation: Invocation,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="STORE",
            help="The token store that preprocess made.",
            show_default="the one in data/",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="The run's folder.",
            show_default="a fresh one under runs/",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE.toml",
            help="A complete run: smoke, laptop, maestro, maestro-gpu, maestro-distil, gpu, "
            "paper, pedal, finetune, or a file.",
            show_default="laptop or gpu, after the device",
            autocompletion=complete_recipe,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a line of the recipe: --set schedule.max_steps=500; as often as needed.",
            show_default=False,
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            "--max-steps", metavar="N", min=1, help="Steps in all.", show_default="the recipe's"
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            metavar="M",
            help="Save and stop after so long; the last validation comes on top.",
            show_default="no limit",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run exactly where it stood.")
    ] = False,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="CHECKPOINT",
            help="Start from these weights (fine-tune).",
            show_default="random weights",
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="auto|fp32|bf16",
            help="Of the arithmetic; bf16 is the faster one where the device has it.",
            show_default="the recipe's",
        ),
    ] = None,
) -> int:
    """Train a model on a token store, or fine-tune one.

    Ctrl-C saves and stops; --resume goes on. The run's folder holds metrics.jsonl, saved steps and
    checkpoint/, which every other command takes as --checkpoint; with TensorBoard installed its
    files, too.
    """
    from perceiver_music.jobs import train as job
    from perceiver_music.jobs.train_request import TrainRequest
    from perceiver_music.jobs.train_settings import check_settings

    request = TrainRequest(
        data=data,
        output=output,
        recipe=recipe,
        settings=tuple(settings or ()),
        max_steps=max_steps,
        max_minutes=max_minutes,
        resume=resume,
        init=init,
        device=device,
        precision=precision,
    )
    console = invocation.console
    if os.environ.get("RANK", "0") != "0":  # under torchrun the first process speaks for all
        console.quiet = True
    check_settings(request)  # first: to choose a device takes seconds
    announce_device(console, device)
    with console.progress("train", plain_lines=True) as on_progress:
        result = job.run(request, on_progress, console.warning)
    if result.is_first_rank:
        fields = result.as_json()
        run = str(fields["run"])
        invocation.written(run)
        invocation.emit(fields, inputs=[result.data], outputs=[run])
        if result.report.step < result.max_steps:
            console.info(
                f"stopped after {result.report.step:,} of {result.max_steps:,} steps; go on with: "
                f"perceiver-music train --resume --output {run}"
            )
    return 0
