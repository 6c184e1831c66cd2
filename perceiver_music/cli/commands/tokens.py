"""`perceiver-music tokens`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.console import printable
from perceiver_music.cli.inputs import STDIN, InputFile, read_stdin, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import (
    DEFAULT_TOKENIZER,
    OUTPUT_PANEL,
    Force,
    SkipExisting,
    TokenizerNameIfAny,
)
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_midi_name,
    check_stdout,
)
from perceiver_music.errors import UsageError

EXAMPLES = (
    "perceiver-music tokens song.mid | less",
    "perceiver-music tokens song.mid --json > song.json",
    "perceiver-music tokens --decode song.json -o again.mid",
)


def tokens(
    invocation: Invocation,
    midi: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MIDI",
            help="Files, folders (and all below), globs, or - for stdin: a file or list of paths.",
            show_default=False,
        ),
    ] = None,
    decode: Annotated[
        str | None,
        typer.Option(
            "--decode",
            metavar="IDS.json",
            help="The other way: a list of ids, or an object with ids, into MIDI; - for stdin.",
            show_default=False,
        ),
    ] = None,
    tokenizer: TokenizerNameIfAny = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.mid",
            help="With --decode: the MIDI file, a folder/, or - for stdout.",
            show_default="{stem}.mid",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Show the events of a file, one a line: time id NAME value; or turn ids back into MIDI.

    Of several files each begins with a line '# FILE'. --json gives the ids.
    """
    existing = ExistingOutputs(force=force, skip=skip_existing)
    if bool(midi) == (decode is not None):
        raise UsageError(
            "either MIDI files or --decode IDS.json", hint="Name files, or ids to decode."
        )
    if decode is not None:
        return _decode(invocation, decode, output, tokenizer, existing)
    if output is not None:
        raise UsageError("-o goes with --decode", hint="Send the events to a file with '>'.")
    inputs = resolve_inputs(midi or ())
    items = (
        Item(
            inputs=[item.name],
            work=partial(
                _show, invocation, item, tokenizer or DEFAULT_TOKENIZER, is_named=len(inputs) > 1
            ),
        )
        for item in inputs
    )
    return run_batch(invocation, items, num_inputs=len(inputs))


def _show(
    invocation: Invocation, item: InputFile, tokenizer: str, started: float, *, is_named: bool
) -> bool:
    from perceiver_music.jobs import tokens as job

    console = invocation.console
    request = job.TokensRequest(midi=item.source, input_name=item.name, tokenizer=tokenizer)
    result = job.run(request, warn=console.warning)
    if console.as_json:
        invocation.emit(result.as_json(), inputs=[item.name], since=started)
    else:
        heading = [f"# {printable(item.name)}"] if is_named else []
        console.lines([*heading, *result.lines()])
    return True


def _decode(
    invocation: Invocation,
    word: str,
    output: str | None,
    tokenizer: str | None,
    existing: ExistingOutputs,
) -> int:
    from perceiver_music.jobs import tokens as job

    names = OutputNames(wanted=output, default="{stem}.mid")
    stem = "stdin" if word == STDIN else Path(word).stem
    target = None if names.to_stdout else names.path(NameParts(stem=stem))
    if target is not None:
        check_midi_name(str(target))
    if target is None:
        check_stdout(num_items=1, as_json=invocation.console.as_json)
    elif existing.should_skip(target):
        invocation.skipped([target], inputs=[word])
        return 0
    request = job.DecodeRequest(
        ids=read_stdin() if word == STDIN else Path(word),
        input_name=word,
        output=target,
        overwrite=existing.force,
        tokenizer=tokenizer,
    )
    result = job.decode(request)
    if target is None:
        invocation.console.binary(result.midi)
    else:
        invocation.written(target)
        invocation.emit(result.as_json(), inputs=[word], outputs=[target])
    return 0
