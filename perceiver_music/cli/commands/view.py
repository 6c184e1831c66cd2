"""`perceiver-music view`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.help_text import GroupedCommand
from perceiver_music.cli.inputs import InputFile, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.lengths import parse_moment
from perceiver_music.cli.options import OUTPUT_PANEL, Force, MidiFiles, SkipExisting
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_stdout,
    refuse_collisions,
)
from perceiver_music.errors import UsageError
from perceiver_music.music.midi_chunks import MIDI_SUFFIXES

EXAMPLES = (
    "perceiver-music view song.mid",
    "perceiver-music view song.mid -o song.png",
    "perceiver-music view song.mid -o song.html --open",
    "perceiver-music view takes/*.mid -o pages/ --format html",
)
FORMATS = {".png": "png", ".svg": "svg", ".html": "html", ".htm": "html"}


class ViewCommand(GroupedCommand):
    """`--audio` alone means `--audio render`: its value may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the value in where none follows."""
        end = args.index("--") if "--" in args else len(args)
        whole: list[str] = []
        for place, word in enumerate(args):
            whole.append(word)
            if word == "--audio" and place < end:
                value = args[place + 1] if place + 1 < len(args) else "--"
                if value.startswith("-") or Path(value).suffix.lower() in MIDI_SUFFIXES:
                    whole.append("render")
        return list(super().parse_args(ctx, whole))


def view(
    invocation: Invocation,
    midi: MidiFiles,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A file (.png .svg .html), a folder/, a template with {stem}, or - for stdout.",
            show_default="none: a roll in the terminal; {stem}.FORMAT with --format or --open",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="png|svg|html",
            help="Picture or page; without -o it goes to {stem}.FORMAT in the current folder.",
            show_default="what -o ends in; html for a folder/, - or --open",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            "--audio",
            metavar="render|none|FILE",
            help="The sound inside a page; --audio alone renders it.",
            show_default="rendered, as 'render' does it",
        ),
    ] = None,
    new_from: Annotated[
        float | None,
        typer.Option(
            "--new-from",
            parser=parse_moment,
            metavar="TIME",
            help="Where new music begins, as 12.5 or 1:30.",
            show_default="as the file says, if this program made it",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option("--title", metavar="TEXT", help="Another title.", show_default="the file's"),
    ] = None,
    open_it: Annotated[
        bool,
        typer.Option("--open", help="Open it in the browser; without -o, the page {stem}.html."),
    ] = False,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Show music: a picture, a page that plays, or a roll in the terminal.

    Colour is velocity, and tells a primer from new music. The page is one file that needs no
    network: it plays, seeks, loops, changes its tempo and mutes the primer.
    """
    existing = ExistingOutputs(force=force, skip=skip_existing)
    if picture is not None and picture not in FORMATS.values():
        raise UsageError(f"'{picture}' is not a picture that we draw", hint="Use png, svg or html.")
    inputs = resolve_inputs(midi)
    targets, pictures = _targets(invocation, inputs, output, picture, open_it)
    if audio is not None and "html" not in pictures:
        raise UsageError("only a page has sound", hint="Use --audio with -o NAME.html.")
    options = {"audio": audio, "new_from_seconds": new_from, "title": title}
    work = (
        Item(
            inputs=[item.name],
            work=partial(_view_one, invocation, item, target, kind, existing, open_it, options),
        )
        for item, target, kind in zip(inputs, targets, pictures, strict=True)
    )
    return run_batch(invocation, work, num_inputs=len(inputs), writes_files=any(targets))


def _targets(
    invocation: Invocation,
    inputs: Sequence[InputFile],
    output: str | None,
    picture: str | None,
    open_it: bool,
) -> tuple[list[Path | None], list[str | None]]:
    """Where each input goes and as what; nowhere and as nothing for rolls in the terminal.

    Raises:
        UsageError: the names do not work.
    """
    if output is None and picture is None and not open_it:
        return [None] * len(inputs), [None] * len(inputs)
    names = OutputNames(wanted=output, default=f"{{stem}}.{picture or 'html'}")
    if names.to_stdout:
        if open_it:
            raise UsageError("-o - leaves nothing to --open", hint="Name a file.")
        check_stdout(num_items=len(inputs), as_json=invocation.console.as_json)
    targets = [
        None if names.to_stdout or item.failure else names.path(NameParts(stem=item.stem))
        for item in inputs
    ]
    refuse_collisions(
        [[] if target is None else [target] for target in targets],
        inputs=[item.path for item in inputs],
    )
    return targets, [_picture(target, picture) for target in targets]


def _picture(target: Path | None, wanted: str | None) -> str:
    """Picture or page, after the option and the suffix.

    Raises:
        UsageError: neither says, or they contradict each other.
    """
    if target is None:
        return wanted or "html"
    ending = FORMATS.get(target.suffix.lower())
    if ending is None or wanted not in (None, ending):
        raise UsageError(
            f"{target}: its name does not end in .{wanted or 'png, .svg or .html'}",
            hint=f"Name it *.{wanted or 'png, *.svg or *.html'}; a folder ends in /.",
        )
    return ending


def _view_one(
    invocation: Invocation,
    item: InputFile,
    target: Path | None,
    picture: str | None,
    existing: ExistingOutputs,
    open_it: bool,
    options: dict[str, Any],
    started: float,
) -> bool:
    source = item.source
    if target is not None and existing.should_skip(target):
        invocation.skipped([target], inputs=[item.name], since=started)
        return False
    from perceiver_music.jobs import view as job

    request = job.ViewRequest(
        midi=source,
        input_name=item.name,
        stem=item.stem,
        picture=picture,
        output=target,
        overwrite=existing.force,
        **options,
    )
    console = invocation.console
    with console.progress(f"view {item.stem}") as on_progress:
        result = job.run(request, on_progress, console.warning)
    if picture is None:
        if not console.as_json:
            from perceiver_music.view.terminal import terminal_roll

            console.roll(partial(terminal_roll, result.roll))
    elif target is None:
        console.binary(result.data)
        return True
    else:
        invocation.written(target)
    outputs = [] if target is None else [target]
    invocation.emit(result.as_json(), inputs=[item.name], outputs=outputs, since=started)
    if open_it and target is not None:
        _open(invocation, target)
    return True


def _open(invocation: Invocation, path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        invocation.console.warning(f"no browser was found to open {path} in")
