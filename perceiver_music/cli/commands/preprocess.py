"""`perceiver-music preprocess`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli.inputs import listed_on_stdin
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import (
    DEFAULT_TOKENIZER,
    OUTPUT_PANEL,
    Force,
    SkipExisting,
    TokenizerName,
)
from perceiver_music.cli.outputs import ExistingOutputs, NameParts, OutputNames
from perceiver_music.errors import UsageError

if TYPE_CHECKING:
    from perceiver_music.cli.console import Console
    from perceiver_music.jobs.preprocess import PreprocessResult

EXAMPLES = (
    "perceiver-music preprocess maestro-v3.0.0/ -o data/maestro.store",
    "perceiver-music preprocess my-midi-files/",
    "perceiver-music preprocess maestro-v3.0.0/ --tokenizer pedal-performance-623 -o pedal.store",
)


def preprocess(
    invocation: Invocation,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="MAESTRO's folder, or folders, files and globs of MIDI; - for a list on stdin.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="STORE",
            help="The token store to write, or a folder/ for it.",
            show_default="data/<name of the source>.store",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Processes that read; the store does not depend on it.",
            show_default="one a processor",
        ),
    ] = None,
    tokenizer: TokenizerName = DEFAULT_TOKENIZER,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Turn a folder of MIDI into a token store, to train on and to evaluate with.

    MAESTRO's own table gives its splits; in any other folder a hash of each piece does. Files that
    cannot be read are listed with the reason; duplicates are dropped.
    """
    existing = ExistingOutputs(force=force, skip=skip_existing)
    from perceiver_music.jobs import preprocess as job

    request = job.PreprocessRequest(
        sources=listed_on_stdin(source),
        workers=workers,
        overwrite=force,
        tokenizer=tokenizer,
    )
    if output is not None:
        request = replace(request, output=_named(output, request.source_name))
    if existing.should_skip(request.store_path):
        invocation.skipped([request.store_path], inputs=request.sources)
        return 0
    console = invocation.console
    with console.progress("preprocess") as on_progress:
        result = job.run(request, on_progress, console.warning)
    _tell(console, result)
    invocation.written(result.store)
    invocation.emit(result.as_json(), inputs=request.sources, outputs=[result.store])
    return 0


def _named(word: str, source_name: str) -> Path:
    names = OutputNames(wanted=word, default="{stem}.store")
    if names.to_stdout:
        raise UsageError(
            "-o - cannot carry a token store", hint=f"Name a file, such as -o {source_name}.store."
        )
    return names.path(NameParts(stem=source_name))


def _tell(console: Console, result: PreprocessResult) -> None:
    for rejection in result.rejected:
        console.warning(f"{rejection.path}: left out: {rejection.reason}")
    for path, same_as in result.duplicates:
        console.detail(f"{path}: left out: the same music as {same_as}")
    for name, split in result.splits.items():
        console.info(
            f"{name}: {split.pieces:,} pieces, {split.notes:,} notes, {split.events:,} events, "
            f"{split.seconds / 3600:.1f} hours"
        )
    empty = [name for name, split in result.splits.items() if not split.pieces]
    if empty:
        console.warning(
            f"{' and '.join(empty)}: no piece; with so few, not every split has one "
            "to train or measure on"
        )
    duplicates = len(result.duplicates)
    console.info(
        f"{duplicates:,} {'duplicate' if duplicates == 1 else 'duplicates'}, "
        f"{len(result.rejected):,} rejected"
    )
