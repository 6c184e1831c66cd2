"""What every command shares: `--json`, `-q`, `-v`, `--debug`, `--version`, and how it ends.

`command` turns a plain function into one: it adds the shared options to its signature, gives it an
`Invocation` to speak through, and turns whatever it raises into two lines and a code.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from perceiver_music import __version__
from perceiver_music.cli import failures
from perceiver_music.cli.console import Console
from perceiver_music.errors import PerceiverMusicError, StorageError, UsageError

PROGRAM = "perceiver-music"
_PANEL = "On every command"

Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON object a result on stdout.", rich_help_panel=_PANEL),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Nothing on stderr but errors.", rich_help_panel=_PANEL),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="More detail on stderr.", rich_help_panel=_PANEL),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="The traceback of a bug.", rich_help_panel=_PANEL)
]


def _print_version(wanted: bool) -> None:
    if wanted:
        Console().line(f"{PROGRAM} {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print the version and leave.",
        callback=_print_version,
        is_eager=True,
        rich_help_panel=_PANEL,
    ),
]
_SHARED = {"json": Json, "quiet": Quiet, "verbose": Verbose, "debug": Debug, "version": Version}


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One run of one command.

    Attributes:
        command: its words, `models info`.
        console: its way to speak.
        started: `time.perf_counter()` at its start.
        known: fields of all that it says as JSON, once they are known.
    """

    command: str
    console: Console
    started: float = field(default_factory=time.perf_counter)
    known: dict[str, object] = field(default_factory=dict)

    def emit(
        self,
        fields: Mapping[str, object],
        *,
        inputs: Sequence[object] = (),
        outputs: Sequence[object] = (),
        since: float | None = None,
    ) -> None:
        """Prints the JSON object of one result, if JSON was asked for.

        Args:
            fields: what the job says; `seed`, `checkpoint` and `checkpoint_sha256` are null
                unless it says more.
            inputs: the files read.
            outputs: the files written.
            since: when the work on this item began; None means with the command.
        """
        if not self.console.as_json:
            return
        start = self.started if since is None else since
        self.console.json(
            {
                "schema": f"{self.command or PROGRAM}/1",
                "version": __version__,
                "command": self.command,
                "inputs": list(inputs),
                "outputs": list(outputs),
                "seed": None,
                "checkpoint": None,
                "checkpoint_sha256": None,
                **self.known,
                **fields,
                "elapsed_seconds": round(time.perf_counter() - start, 6),
            }
        )

    def written(self, path: str | os.PathLike[str]) -> None:
        """Prints the path of a file that was written, unless a JSON object will name it."""
        if not self.console.as_json:
            self.console.path(path)

    def skipped(
        self,
        paths: Sequence[Path],
        *,
        inputs: Sequence[object],
        since: float | None = None,
        **fields: object,
    ) -> None:
        """Says that outputs were there already and were left alone."""
        for path in paths:
            self.console.info(f"{path}: exists, left alone")
        self.emit(
            {**fields, "output": os.fspath(paths[0]), "skipped": True},
            inputs=inputs,
            outputs=paths,
            since=since,
        )

    def emit_failure(
        self,
        failure: PerceiverMusicError,
        *,
        inputs: Sequence[object] = (),
        since: float | None = None,
        **fields: object,
    ) -> None:
        """Prints the JSON object of a failure, if JSON was asked for."""
        error = failures.failure_fields(failure, self.command)
        self.emit({**fields, "error": error}, inputs=inputs, since=since)


def command(function: Callable[..., int | None]) -> Callable[..., int]:
    """Makes a function whose first parameter is an `Invocation` a command of the program."""
    own = inspect.signature(function, eval_str=True).parameters
    wanted = list(own.values())[1:]

    @functools.wraps(function)
    def run(ctx: typer.Context, **values: Any) -> int:
        invocation = _begin(ctx, values)
        given = {name: value for name, value in values.items() if name in own}
        return failures.guarded(
            lambda: function(invocation, **given), invocation.console, invocation.emit_failure
        )

    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in _SHARED.items()
    ]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    keyword_only = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in wanted]
    parameters = [context, *keyword_only, *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]
    return run


def _begin(ctx: typer.Context, values: Mapping[str, Any]) -> Invocation:
    """The invocation, with the shared options as given before or after the command's name."""
    _check_working_folder()
    flags = {name: _flag(ctx, name, values) for name in ("json", "quiet", "verbose", "debug")}
    quiet, verbose = flags["quiet"], flags["verbose"]
    if quiet == verbose == "flag":
        raise UsageError("--quiet and --verbose contradict each other", hint="Give one of them.")
    return Invocation(
        command=command_words(ctx),
        console=Console(
            as_json=bool(flags["json"]),
            quiet=bool(quiet) and verbose != "flag",
            verbose=bool(verbose) and quiet != "flag",
            debug=bool(flags["debug"]),
            command=command_words(ctx),
        ),
    )


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise StorageError(
            "the folder that this was started in is gone", hint="Change to another one."
        ) from error


def _flag(ctx: typer.Context, name: str, values: Mapping[str, Any]) -> str:
    """ "flag" when it stood on the command line, "setting" when set elsewhere, else ""."""
    contexts: list[Any] = [ctx]
    while contexts[-1].parent is not None:
        contexts.append(contexts[-1].parent)
    for context in contexts:
        source = context.get_parameter_source(name)
        if context.params.get(name) and source is not None and source.name == "COMMANDLINE":
            return "flag"
    is_set = values[name] or any(context.params.get(name) for context in contexts)
    return "setting" if is_set else ""


def command_words(ctx: Any) -> str:
    """`models info` for the context of that command, whatever the program was started as."""
    words: list[str] = []
    while ctx is not None and ctx.parent is not None:
        words.insert(0, str(ctx.info_name))
        ctx = ctx.parent
    return " ".join(words)
