"""The table of contents: every command of `perceiver-music`, and the way in and out."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typer

from perceiver_music.cli import early_signals, failures, help_text, settings, wrong_words
from perceiver_music.cli.commands import (
    bench,
    check,
    compose,
    continue_,
    data,
    duet,
    evaluate,
    infill,
    models,
    preprocess,
    render,
    replay,
    tokens,
    train,
    view,
)
from perceiver_music.cli.console import Console
from perceiver_music.cli.help_text import GroupedCommand, GroupedCommands, examples_text
from perceiver_music.cli.invocation import (
    PROGRAM,
    Debug,
    Invocation,
    Json,
    Quiet,
    Verbose,
    Version,
    command,
    command_words,
)
from perceiver_music.cli.signals import raise_on_signals
from perceiver_music.cli.standard_output import ReaderGone, abandon_stdout
from perceiver_music.errors import PerceiverMusicError, StorageError

app = typer.Typer(
    name=PROGRAM,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=GroupedCommands,
)


@app.callback()
def program(
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Piano music with a Perceiver AR: continue your own playing, compose, hear it, train.

    \b
    perceiver-music continue primer.mid    goes on where primer.mid ends
    perceiver-music compose --render       a piece from nothing, and its sound
    perceiver-music COMMAND --help         everything about one command
    """


def _group(help_text: str) -> typer.Typer:
    """Commands under one word; the options of every command may stand after that word, too."""
    group = typer.Typer(help=help_text, rich_markup_mode=None, cls=GroupedCommands)
    group.callback()(program)
    return group


def _add(
    group: typer.Typer,
    name: str,
    function: Callable[..., int | None],
    examples: tuple[str, ...],
    kind: type[GroupedCommand] = GroupedCommand,
) -> None:
    """Puts a command into the table, its examples beneath its help."""
    text = examples_text(examples)
    group.command(name, epilog=text, cls=kind)(command(function))


models_group = _group("The checkpoints at hand: list, info, verify.")
data_group = _group("Data sets by name: list, info, verify, download.")

_add(app, "continue", continue_.continue_, continue_.EXAMPLES)
_add(app, "compose", compose.compose, compose.EXAMPLES)
_add(app, "infill", infill.infill, infill.EXAMPLES)
_add(app, "replay", replay.replay, replay.EXAMPLES)
_add(app, "duet", duet.duet, duet.EXAMPLES)
_add(app, "render", render.render, render.EXAMPLES)
_add(app, "view", view.view, view.EXAMPLES, view.ViewCommand)
_add(app, "preprocess", preprocess.preprocess, preprocess.EXAMPLES)
_add(app, "train", train.train, train.EXAMPLES)
_add(app, "evaluate", evaluate.evaluate, evaluate.EXAMPLES)
_add(app, "check", check.check, check.EXAMPLES)
_add(app, "tokens", tokens.tokens, tokens.EXAMPLES)
_add(app, "bench", bench.bench, bench.EXAMPLES)
app.add_typer(models_group, name="models")
_add(models_group, "list", models.list_models, models.LIST_EXAMPLES)
_add(models_group, "info", models.info, models.INFO_EXAMPLES)
_add(models_group, "verify", models.verify, models.VERIFY_EXAMPLES)
app.add_typer(data_group, name="data")
_add(data_group, "list", data.list_data_sets, data.LIST_EXAMPLES)
_add(data_group, "info", data.info, data.INFO_EXAMPLES)
_add(data_group, "verify", data.verify, data.VERIFY_EXAMPLES)
_add(data_group, "download", data.download, data.DOWNLOAD_EXAMPLES)


_INTERRUPTED: Final = 130
_FEWEST_COLUMNS, _MOST_COLUMNS = 20, 1000


def main() -> None:
    """Runs the words after the program's name, and leaves with the exit code."""
    code = run(sys.argv[1:])
    if code == _INTERRUPTED:
        # Where Ctrl-C met Python while it made a dataclass, `sys.exit` would end in a second SIGINT
        # (an interrupt that leaves an `exec` counts as unhandled, whoever handles it later).
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)


def _make_sense_of_columns() -> None:
    """Nothing can be written in no columns, and no terminal has thousands."""
    word = os.environ.get("COLUMNS", "")
    if word.isdecimal() and not _FEWEST_COLUMNS <= int(word[:9]) <= _MOST_COLUMNS:
        del os.environ["COLUMNS"]


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    _make_sense_of_columns()
    # Before the command line is parsed, only its words can say how a failure should be told.
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    console = Console(as_json="--json" in flags, debug="--debug" in flags)
    where: dict[str, str] = {"command": next((w for w in flags if not w.startswith("-")), "")}

    def emit(failure: PerceiverMusicError) -> None:
        Invocation(command=where["command"], console=console).emit_failure(failure)

    code = failures.guarded(lambda: _dispatch(arguments, where), console, emit)
    return _flushed(code)


def _dispatch(arguments: list[str], where: dict[str, str]) -> int:
    """Finds the command and runs it, with settings in the place of options that are not given."""
    raise_on_signals()
    early_signals.deliver()
    tree: Any = typer.main.get_command(app)
    settings.bind_environment(tree)
    if os.environ.get("_PERCEIVER_MUSIC_COMPLETE"):
        tree.main(args=arguments, prog_name=PROGRAM)
    arguments = arguments or ["--help"]
    found = _settings(tree, arguments)
    try:
        with tree.make_context(
            PROGRAM,
            list(arguments),
            default_map=found.default_map,
            terminal_width=help_text.help_width(),
        ) as context:
            return int(tree.invoke(context) or 0)
    except typer.TyperException as error:
        context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
        where["command"] = command_words(context) or where["command"]
        failure = wrong_words.usage_error(error, program=tree, arguments=arguments)
        if context is None or parameter is None:
            raise failure from error
        raise settings.blame(
            failure, context=context, parameter=parameter, settings=found
        ) from error
    except BrokenPipeError as error:  # a command's own failures do not come this far: it is help
        abandon_stdout()
        raise ReaderGone from error


def _settings(tree: Any, arguments: list[str]) -> settings.Settings:
    """The settings that hold here; a broken file must not keep anyone from the help."""
    try:
        settings.check_environment(tree, os.environ)
        return settings.load_settings(tree, folder=Path(), user_file=settings.user_settings_file())
    except PerceiverMusicError:
        if {"--help", "-h", "--version"} & set(arguments):
            return settings.Settings()
        raise


def _flushed(code: int) -> int:
    """Empties standard output while a failure to do so can still be told."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        return failures.READER_GONE_EXIT_CODE
    except OSError:
        abandon_stdout()
        return code or StorageError.exit_code
    return code
