"""`perceiver-music models list`, `info` and `verify`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli.completion import complete_checkpoint
from perceiver_music.cli.console import printable
from perceiver_music.cli.invocation import Invocation

if TYPE_CHECKING:
    from perceiver_music.jobs.models import ModelInfoResult

LIST_EXAMPLES = ("perceiver-music models list",)
INFO_EXAMPLES = ("perceiver-music models info", "perceiver-music models info runs/laptop-1")
VERIFY_EXAMPLES = ("perceiver-music models verify maestro",)

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME|PATH",
        help="A name from 'models list', or a checkpoint's folder.",
        show_default="the bundled one",
        autocompletion=complete_checkpoint,
    ),
]


def list_models(invocation: Invocation) -> int:
    """List the checkpoints at hand; * marks the one that is used when none is named."""
    from perceiver_music.jobs import models as job

    result = job.list_models()
    if invocation.console.as_json:
        invocation.emit(result.as_json())
        return 0
    rows = [
        (
            f"{row.name}{' *' if row.is_default else ''}",
            row.origin,
            "-" if row.parameters is None else f"{row.parameters / 1e6:.1f} M",
            "-" if row.context is None else f"{row.context:,}",
            "-"
            if row.validation_nats_per_event is None
            else f"{row.validation_nats_per_event:.3f}",
            row.problem or row.path,
        )
        for row in result.models
    ]
    columns = ("name", "origin", "parameters", "context", "validation nats/event", "path")
    invocation.console.table(columns, rows)
    return 0


def info(invocation: Invocation, model: Model = None) -> int:
    """Show what a checkpoint says of itself: model, training, data, likelihood, licence."""
    from perceiver_music.jobs import models as job

    _print(invocation, job.info(model))
    return 0


def verify(invocation: Invocation, model: Model = None) -> int:
    """Check every file of a checkpoint against its checksum, and load it."""
    from perceiver_music.jobs import models as job

    result = job.verify(model)
    if invocation.console.as_json:
        invocation.emit(result.as_json(), inputs=[result.description.path])
    else:
        description = result.description
        invocation.console.line(
            f"{printable(description.name)}: whole, sha256 {description.sha256}"
        )
    return 0


def _print(invocation: Invocation, result: ModelInfoResult) -> None:
    if invocation.console.as_json:
        invocation.emit(result.as_json(), inputs=[result.description.path])
        return
    fields = result.as_json()
    rows = [(name, str(fields[name])) for name in ("checkpoint", "checkpoint_sha256", "path")]
    for name, value in result.description.fields.items():
        rows += _rows(name, value)
    invocation.console.table(("field", "value"), rows)


def _rows(name: str, value: object) -> list[tuple[str, str]]:
    """A nested table, flat: `data.events.train`."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _rows(f"{name}.{key}", item)]
    return [(name, value if isinstance(value, str) else json.dumps(value))]
