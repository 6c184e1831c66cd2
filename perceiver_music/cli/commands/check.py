"""`perceiver-music check`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.inputs import InputFile, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import Checkpoint
from perceiver_music.errors import UsageError
from perceiver_music.music.moments import clock

if TYPE_CHECKING:
    from perceiver_music.cli.console import Console
    from perceiver_music.jobs.check import Checker, CheckResult

EXAMPLES = (
    "perceiver-music check composed_7.mid",
    "perceiver-music check takes/ --json | jq .longest_shared_notes",
    "perceiver-music check song.mid --data data/maestro-v3.store",
    "perceiver-music check --build-index --data my.store --checkpoint runs/mine",
)
INDEX_PANEL = "The index of a training set"
_NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LABELS = {
    "notes_per_second": ("notes a second", ".1f"),
    "polyphony": ("keys sounding at once", ".1f"),
    "lowest": ("lowest pitch", ".0f"),
    "highest": ("highest pitch", ".0f"),
    "pitch_class_entropy": ("spread of pitch classes, bits", ".2f"),
    "velocity_mean": ("velocity, mean", ".0f"),
    "velocity_spread": ("velocity, spread", ".0f"),
    "pedal_share": ("time with the pedal down", ".0%"),
    "pedal_presses_per_minute": ("pedal presses a minute", ".0f"),
    "longest_silence": ("longest silence, seconds", ".1f"),
    "repeated_share": ("notes in passages it has twice", ".0%"),
    "longest_loop": ("longest loop, seconds", ".1f"),
}
_NO_FAULT = (
    "Lower or higher is no fault: real pieces are whole ones of every kind, and slow, soft or "
    "short music lies outside by its nature."
)


def check(
    invocation: Invocation,
    midi: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MIDI",
            help="Files, folders (and all below), globs, or - for stdin: a file or list of paths.",
            show_default=False,
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Primer too, of a file that this program made."),
    ] = False,
    checkpoint: Checkpoint = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="STORE",
            help="Compare with the train split of this token store; its index is kept.",
            show_default="the checkpoint's own training set",
            rich_help_panel=INDEX_PANEL,
        ),
    ] = None,
    build_index: Annotated[
        bool,
        typer.Option(
            "--build-index",
            help="Index --data and put the index into the checkpoint.",
            rich_help_panel=INDEX_PANEL,
        ),
    ] = False,
    midi_folder: Annotated[
        Path | None,
        typer.Option(
            "--midi-folder",
            metavar="FOLDER",
            help="With --build-index: the store's MIDI files, which know the pedal.",
            show_default=False,
            rich_help_panel=INDEX_PANEL,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="With --build-index: replace an index that exists.",
            rich_help_panel=INDEX_PANEL,
        ),
    ] = False,
) -> int:
    """Show how new a piece is: its longest passage that the training set has too.

    In any key, at any tempo; with the piece that has it, and when. A trill, a tremolo or a repeated
    note counts as three notes. Beside it figures of the music, each with what nine of ten real
    pieces have. Of a file that this program made, only the new part counts.
    """
    if build_index:
        return _build(invocation, midi, checkpoint, data, midi_folder, force)
    if midi_folder is not None or force:
        raise UsageError("--midi-folder and --force go with --build-index")
    if not midi:
        raise UsageError("no MIDI file to check", hint="Name one: 'perceiver-music check x.mid'.")
    inputs = resolve_inputs(midi)
    from perceiver_music.jobs.check import open_checker

    with invocation.console.progress("index") as on_progress:
        checker = open_checker(checkpoint, data, on_progress, invocation.console.warning)
    items = (
        Item(inputs=[item.name], work=partial(_check_one, invocation, item, checker, whole))
        for item in inputs
    )
    return run_batch(invocation, items, num_inputs=len(inputs))


def _build(
    invocation: Invocation,
    midi: list[str] | None,
    checkpoint: str | None,
    data: Path | None,
    midi_folder: Path | None,
    force: bool,
) -> int:
    from perceiver_music.jobs.passages_building import build

    if midi or data is None:
        raise UsageError(
            "--build-index takes --data STORE and no MIDI", hint="Check files in a second command."
        )
    with invocation.console.progress("index") as on_progress:
        result = build(
            data,
            checkpoint,
            midi_folder=midi_folder,
            overwrite=force,
            on_progress=on_progress,
            warn=invocation.console.warning,
        )
    invocation.console.info(f"{result.pieces:,} pieces, {result.notes:,} notes")
    invocation.written(result.output)
    invocation.emit(result.as_json(), inputs=[data], outputs=[result.output])
    return 0


def _check_one(
    invocation: Invocation, item: InputFile, checker: Checker, is_whole: bool, started: float
) -> bool:
    from perceiver_music.jobs.check import CheckRequest

    request = CheckRequest(midi=item.source, input_name=item.name, is_whole=is_whole)
    result = checker.run(request, invocation.console.warning)
    if invocation.console.as_json:
        invocation.emit(result.as_json(), inputs=[item.name], since=started)
    else:
        _print(invocation.console, result)
    return True


def _print(console: Console, result: CheckResult) -> None:
    begin, end = (clock(seconds) for seconds in result.part_seconds)
    part = "all of it" if result.part == "all" else f"the new part, {begin} to {end}"
    console.line(f"{result.input}: {part}")
    for line in _passage_lines(result):
        console.paragraph(line, indent="  ")
    console.line("")
    rows = [_row(name, result) for name in _LABELS if name in result.statistics]
    key = ("key that fits best", str(result.statistics["key"]), "", "")
    if "pedal_share" not in result.statistics:
        rows.append(("pedal", "in the notes", "", ""))
    console.table(("figure", "here", "nine of ten real pieces", ""), [*rows, key])
    console.line("")
    if result.unusual:
        console.paragraph(_NO_FAULT, indent="  ")
        console.line("")
    console.table(("sounding time", *_NOTE_NAMES), _pitch_class_rows(result))
    console.line("")


def _passage_lines(result: CheckResult) -> list[str]:
    passage, piece = result.passage, result.shared_with
    if piece is None:
        return ["nothing of it is in the training set"]
    begin, length = passage.query_seconds
    shift = abs(passage.transposition)
    key = (
        f"{shift} semitone{'s' * (shift > 1)} {'higher' if passage.transposition > 0 else 'lower'}"
    )
    name = ", ".join(part for part in (piece["composer"], piece["title"]) if part)
    lines = [
        f"longest passage that the training set has too: {passage.num_notes} notes in "
        f"{length:.1f} s, at {clock(begin)}",
        f"in {name}, at {clock(piece['at_seconds'])}, "
        f"{key if shift else 'in the same key'}; the rhythm is {passage.same_rhythm:.0%} the same",
    ]
    if result.expected is not None:
        expected = result.expected
        verdict = "more than" if result.is_longer_than_expected else "no more than"
        lines.append(
            f"{verdict} real pieces that are not in it: of {expected['notes']:,} notes they share "
            f"{expected['median']} as a rule, {expected['p95']} at most in 19 of 20"
        )
    return lines


def _row(name: str, result: CheckResult) -> tuple[str, str, str, str]:
    label, form = _LABELS[name]
    value, real = result.statistics[name], result.real_pieces.get(name)
    if real is None:
        return label, f"{value:{form}}", "", ""
    mark = _mark(value, real) if name in result.unusual else ""
    return label, f"{value:{form}}", f"{real[0]:{form}} to {real[-1]:{form}}", mark


def _pitch_class_rows(result: CheckResult) -> list[tuple[str, ...]]:
    real = result.real_pieces.get("pitch_classes")
    shares = [("here, per cent", result.statistics["pitch_classes"])]
    if real is not None:
        shares += [
            ("real pieces, from", [ranged[0] for ranged in real]),
            ("to", [ranged[-1] for ranged in real]),
        ]
    return [(name, *(f"{share:.0%}".rstrip("%") for share in row)) for name, row in shares]


def _mark(value: float, real: Sequence[float]) -> str:
    return "lower" if value < real[0] else "higher"
