"""`perceiver-music duet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from perceiver_music.cli.failures import as_failure, failure_fields, report
from perceiver_music.cli.generation_options import (
    DEFAULT_LENGTH,
    DEFAULT_SAMPLING,
    Decoder,
    MinP,
    Seed,
    Temperature,
    TopK,
    TopP,
)
from perceiver_music.cli.inputs import STDIN, missing_primer, read_stdin
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.lengths import Length, parse_length_in_seconds
from perceiver_music.cli.options import (
    OUTPUT_PANEL,
    Checkpoint,
    Context,
    Device,
    Force,
    Latents,
)
from perceiver_music.cli.outputs import STDOUT, check_midi_name, check_stdout
from perceiver_music.cli.signals import Terminated
from perceiver_music.errors import PerceiverMusicError
from perceiver_music.generation.options import SamplingOptions

EXAMPLES = (
    "perceiver-music duet --list-ports",
    "perceiver-music duet --in piano --out piano -o evening.mid",
    "perceiver-music duet --in piano --cue soft --pause 0",
    "perceiver-music duet --midi-file primer.mid -o conversation.mid",
)
PORTS_PANEL = "Ports"
TURNS_PANEL = "Taking turns"


def duet(
    invocation: Invocation,
    in_: Annotated[
        str | None,
        typer.Option(
            "--in",
            metavar="PORT",
            help="The keyboard: a port's name, or a part of it.",
            show_default="the first",
            rich_help_panel=PORTS_PANEL,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="PORT",
            help="Where the answers are played.",
            show_default="the first; with --midi-file nowhere",
            rich_help_panel=PORTS_PANEL,
        ),
    ] = None,
    list_ports: Annotated[
        bool,
        typer.Option(
            "--list-ports", help="List the ports, and leave.", rich_help_panel=PORTS_PANEL
        ),
    ] = False,
    midi_file: Annotated[
        Path | None,
        typer.Option(
            "--midi-file",
            metavar="MIDI|-",
            help="A file that plays in the place of a keyboard, or - for stdin; without --out it "
            "takes no time.",
            show_default=False,
            rich_help_panel=PORTS_PANEL,
        ),
    ] = None,
    through: Annotated[
        bool,
        typer.Option(
            "--through",
            help="Play on --out what you play, too: for keyboards without a sound of their own.",
            rich_help_panel=PORTS_PANEL,
        ),
    ] = False,
    pause: Annotated[
        float,
        typer.Option(
            "--pause",
            metavar="SECONDS",
            help="So long a pause asks for an answer, and three times as long one in which keys "
            "are held; 0 waits for the cue alone.",
            rich_help_panel=TURNS_PANEL,
        ),
    ] = 1.0,
    cue: Annotated[
        str | None,
        typer.Option(
            "--cue",
            metavar="soft|sostenuto|KEY",
            help="A pedal, or a key such as A0, that asks for an answer at once and ends one.",
            show_default=False,
            rich_help_panel=TURNS_PANEL,
        ),
    ] = None,
    length: Annotated[
        Length,
        typer.Option(
            "--length",
            "-l",
            parser=parse_length_in_seconds,
            metavar="LENGTH",
            help="The longest answer, in seconds: 20s. It ends at a breath before that, or when "
            "you play.",
            rich_help_panel=TURNS_PANEL,
        ),
    ] = DEFAULT_LENGTH,
    temperature: Temperature = DEFAULT_SAMPLING.temperature,
    top_p: TopP = DEFAULT_SAMPLING.top_p,
    min_p: MinP = DEFAULT_SAMPLING.min_p,
    top_k: TopK = DEFAULT_SAMPLING.top_k,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    context: Context = None,
    latents: Latents = None,
    device: Device = "auto",
    decoder: Decoder = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.mid|-",
            help="Keep the conversation: you on channel 1, the answers on channel 2; - for stdout.",
            show_default=False,
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    force: Force = False,
) -> int:
    """Play together, live: it listens, and answers when you pause, until you play again.

    The conversation so far is what it answers to. Ctrl-C ends it; with -o it is kept then, too.
    """
    if list_ports:
        return _list_ports(invocation)
    console = invocation.console
    is_streamed = str(output) == STDOUT
    if is_streamed:
        check_stdout(num_items=1, as_json=console.as_json)
    elif output is not None:
        check_midi_name(str(output))
    from perceiver_music.jobs import duet as job

    name = "" if midi_file is None else str(midi_file)
    if name != STDIN and (missing := missing_primer(name)) is not None:
        raise missing
    request = job.DuetRequest(
        input_port=in_,
        output_port=out,
        midi_file=read_stdin() if name == STDIN else midi_file,
        midi_name=name,
        output=None if is_streamed else output,
        overwrite=force,
        pause_seconds=pause,
        cue=cue,
        answer_seconds=length.amount,
        through=through,
        seed=seed,
        sampling=SamplingOptions(temperature=temperature, top_p=top_p, min_p=min_p, top_k=top_k),
        checkpoint=checkpoint,
        device=device,
        decoder=decoder,
        context=context,
        latents=latents,
    )

    def on_ready(device: str, seed: int) -> None:
        if output is None:
            console.warning("the conversation will not be kept; -o FILE keeps it")
        console.info(f"device: {device}")
        console.info(f"seed: {seed}")
        asks = "pause" if pause else f"give the cue ({cue})"
        console.info(f"ready: play, and {asks} for an answer; Ctrl-C ends the duet")

    saved: list[Path | str] = []

    def on_saved(path: Path) -> None:
        saved.append(path)
        invocation.written(path)

    def on_midi(midi: bytes) -> None:
        saved.append("standard output")
        console.binary(midi)

    callbacks = job.DuetCallbacks(
        on_ready=on_ready,
        on_turn=console.detail,
        on_saved=on_saved,
        on_midi=on_midi if is_streamed else None,
        warn=console.warning,
    )
    inputs = [name] if name else []
    try:
        result = job.run(request, callbacks)
    except (KeyboardInterrupt, Terminated) as stop:
        failure = report(_ended_by(stop, saved, is_to_be_kept=output is not None), console)
        error = failure_fields(failure, invocation.command)
        invocation.emit({"error": error}, inputs=inputs, outputs=saved)
        return failure.exit_code
    console.info(
        f"notes heard: {result.notes:,}; answers: {result.answers:,}, "
        f"of {result.answered_notes:,} notes"
    )
    invocation.emit(
        result.as_json(),
        inputs=inputs,
        outputs=[] if result.output is None else [result.output],
    )
    return 0


def _ended_by(
    stop: BaseException, saved: Sequence[Path | str], *, is_to_be_kept: bool
) -> PerceiverMusicError:
    """How a duet ends that nobody's file ends."""
    failure = as_failure(stop)
    failure.message += "".join(f"; the conversation so far is in {path}" for path in saved)
    if saved:
        failure.hint = "Every key has been let go."
    elif is_to_be_kept:
        failure.hint = "Nothing had been played yet, so there is nothing to keep."
    else:
        failure.hint = "With -o the conversation is kept."
    return failure


def _list_ports(invocation: Invocation) -> int:
    from perceiver_music.jobs import duet as job

    ports = job.list_ports()
    if invocation.console.as_json:
        invocation.emit({**vars(ports)})
        return 0
    rows = [("in", name) for name in ports.inputs] + [("out", name) for name in ports.outputs]
    if rows:
        invocation.console.table(("port", "name"), rows)
    else:
        invocation.console.info(
            f"no MIDI ports ({ports.backend}): connect a device or start a software synthesizer; "
            "`duet --midi-file FILE` needs neither"
        )
    return 0
