"""`perceiver-music replay`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.completion import complete_checkpoint
from perceiver_music.cli.inputs import InputFile, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import OUTPUT_PANEL, Force, MidiFiles, SkipExisting
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_midi_name,
    check_stdout,
    refuse_collisions,
)
from perceiver_music.errors import InvalidInputError, UsageError

EXAMPLES = (
    "perceiver-music replay nocturne.mid --check",
    "perceiver-music replay nocturne.mid -o again.mid",
)
_DEFAULT_NAME = "{stem}_replayed.mid"


def replay(
    invocation: Invocation,
    midi: MidiFiles,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only say whether the same bytes would come out; write nothing."
        ),
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="NAME|PATH",
            help="Where the checkpoint is that made it.",
            show_default="found by its checksum",
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    primer: Annotated[
        Path | None,
        typer.Option(
            "--primer",
            metavar="FILE",
            help="Where its primer is.",
            show_default="the copy in the file",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A file, a folder/, a template with {stem}, or - for stdout.",
            show_default="NAME_replayed.mid",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Make a generated file again, byte for byte, from what is stored inside it.

    What it needs is in the file, but for the checkpoint, which is known by its checksum. When the
    music comes out different here, what differs is named and nothing is written.
    """
    if check and output is not None:
        raise UsageError("--check writes nothing, so -o has no use", hint="Leave one of them out.")
    inputs = resolve_inputs(midi)
    names = OutputNames(wanted=output, default=_DEFAULT_NAME)
    check_midi_name(names.template)
    if names.to_stdout:
        check_stdout(num_items=len(inputs), as_json=invocation.console.as_json)
    outputs = [
        None if check or names.to_stdout else names.path(NameParts(stem=source.stem))
        for source in inputs
    ]
    refuse_collisions(
        [[] if path is None else [path] for path in outputs],
        inputs=[source.path for source in inputs],
    )
    existing = ExistingOutputs(force=force, skip=skip_existing)
    items = (
        Item(
            inputs=[source.name],
            work=partial(
                _replay,
                invocation,
                source,
                path,
                existing,
                check=check,
                checkpoint=checkpoint,
                primer=primer,
            ),
        )
        for source, path in zip(inputs, outputs, strict=True)
    )
    return run_batch(invocation, items, num_inputs=len(inputs), writes_files=any(outputs))


def _replay(
    invocation: Invocation,
    source: InputFile,
    output: Path | None,
    existing: ExistingOutputs,
    started: float,
    *,
    check: bool,
    checkpoint: str | None,
    primer: Path | None,
) -> bool:
    midi = source.source
    if output is not None and existing.should_skip(output):
        invocation.skipped([output], inputs=[source.name], since=started)
        return False
    from perceiver_music.jobs import replay as job

    request = job.ReplayRequest(
        midi=midi,
        input_name=source.name,
        output=output,
        overwrite=existing.force,
        checkpoint=checkpoint,
        primer=primer,
    )
    console = invocation.console
    with console.progress(source.stem) as on_progress:
        result = job.run(request, on_progress, console.warning)
    if check and not result.same:
        raise InvalidInputError(
            "was changed after it was made",
            path=source.name,
            hint="replay without --check writes it as it was.",
        )
    if not result.same:
        console.warning(f"{source.name}: was changed after it was made; this is what it was")
    outputs = [] if output is None else [output]
    if output is not None:
        invocation.written(output)
    elif not check:
        console.binary(result.midi)
        return True
    elif not console.as_json:
        console.line(f"{source.name}: the same, byte for byte")
    invocation.emit(result.as_json(), inputs=[source.name], outputs=outputs, since=started)
    return True
