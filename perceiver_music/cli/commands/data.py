"""`perceiver-music data list`, `info`, `verify` and `download`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli import failures
from perceiver_music.cli.completion import complete_data_set
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import OUTPUT_PANEL, Force, SkipExisting
from perceiver_music.cli.outputs import ExistingOutputs
from perceiver_music.errors import InvalidInputError

if TYPE_CHECKING:
    from perceiver_music.jobs.data import VerifyResult

LIST_EXAMPLES = ("perceiver-music data list",)
INFO_EXAMPLES = ("perceiver-music data info maestro-v3",)
VERIFY_EXAMPLES = (
    "perceiver-music data verify maestro-v3",
    "perceiver-music data verify /big/disk/maestro",
)
DOWNLOAD_EXAMPLES = (
    "perceiver-music data download maestro-v3",
    "perceiver-music data download maestro-v3 -o /big/disk/maestro",
)

DataSetName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A name from 'data list'.",
        show_default=False,
        autocompletion=complete_data_set,
    ),
]


def list_data_sets(invocation: Invocation) -> int:
    """List the data sets that can be downloaded, and which of them are here."""
    from perceiver_music.jobs import data as job

    result = job.list_data_sets()
    if invocation.console.as_json:
        invocation.emit(result.as_json())
        return 0
    rows = [
        (
            each.data_set.name,
            f"{each.data_set.megabytes} MB",
            f"{each.data_set.num_pieces:,}",
            each.data_set.licence,
            str(each.folder) if each.is_here else "-",
        )
        for each in result.data_sets
    ]
    invocation.console.table(("name", "download", "pieces", "licence", "folder"), rows)
    return 0


def info(invocation: Invocation, name: DataSetName) -> int:
    """Show what a data set is: source, size, checksum, licence."""
    from perceiver_music.jobs import data as job

    result = job.info(name)
    if invocation.console.as_json:
        invocation.emit(result.as_json())
        return 0
    fields = result.as_json() | {"here": "yes" if result.is_here else "no"}
    rows = [(field.replace("_", " "), str(value)) for field, value in fields.items()]
    invocation.console.table(("field", "value"), rows)
    return 0


def verify(
    invocation: Invocation,
    data_set: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="A name from 'data list', or the folder of a data set.",
            show_default=False,
            autocompletion=complete_data_set,
        ),
    ],
) -> int:
    """Read every file that a data set should have, and compare it with its checksum.

    The checksums are those of SHA256SUMS in the folder, as a download leaves it; without that list
    a file that was changed but is music still cannot be told.
    """
    from perceiver_music.jobs import data as job

    console = invocation.console
    with console.progress("verify") as on_progress:
        result = job.verify(data_set, on_progress)
    inputs = [result.folder]
    if result.is_whole:
        if console.as_json:
            invocation.emit(result.as_json(), inputs=inputs)
        else:
            console.line(f"{result.folder}: {_in_words(result)}")
        return 0
    for problem in result.problems:
        console.warning(f"{problem.path}: {problem.reason}")
    failure = failures.report(
        InvalidInputError(
            f"{len(result.problems):,} files are missing, changed or unreadable",
            path=result.folder,
            hint="Download the data set again.",
        ),
        console,
    )
    invocation.emit_failure(failure, inputs=inputs, **result.as_json())
    return failure.exit_code


def _in_words(result: VerifyResult) -> str:
    pieces = f"{result.pieces:,} pieces"
    if result.checksums:
        return f"whole, {pieces}, {result.checksums:,} checksums compared"
    return (
        f"{pieces}, all there and readable; whether they were changed is not known, "
        "as the folder has no SHA256SUMS to compare them with"
    )


def download(
    invocation: Invocation,
    name: DataSetName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="The folder that the data set becomes.",
            show_default="data/<name>",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Download a data set, check it and unpack it.

    A download that broke off goes on where it was. Nothing is unpacked that is not, byte for
    byte, what the checksum promises.
    """
    existing = ExistingOutputs(force=force, skip=skip_existing)
    from perceiver_music.jobs import data as job

    request = job.DownloadRequest(name=name, output=output, overwrite=force)
    data_set = job.info(name).data_set
    if existing.should_skip(request.folder):
        invocation.skipped([request.folder], inputs=[data_set.url])
        return 0
    console = invocation.console
    console.info(f"{data_set.title}; licence: {data_set.licence}")
    with console.progress(f"download {name}") as on_progress:
        result = job.fetch(request, on_progress)
    invocation.written(result.folder)
    invocation.emit(result.as_json(), inputs=[data_set.url], outputs=[result.folder])
    return 0
