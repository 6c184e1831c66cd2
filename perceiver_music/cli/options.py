"""The options that several commands share, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceiver_music.cli.completion import complete_checkpoint, complete_device, complete_tokenizer

if TYPE_CHECKING:
    from perceiver_music.cli.console import Console

OUTPUT_PANEL = "Output"

MidiFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="MIDI",
        help="Files, folders (and all below), globs, or - for stdin: a file or list of paths.",
        show_default=False,
    ),
]

Force = Annotated[
    bool,
    typer.Option("--force", help="Replace outputs that exist.", rich_help_panel=OUTPUT_PANEL),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave outputs that exist, and count them as done; --json names them on stdout.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="NAME|PATH",
        help="The model: a name from 'models list', or a checkpoint's folder.",
        show_default="the bundled one",
        autocompletion=complete_checkpoint,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        help="Where to compute; auto takes cuda, mps or cpu, the first there is.",
        autocompletion=complete_device,
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context",
        metavar="N",
        help="How far back it hears, in events: some 40 a second of music.",
        show_default="the checkpoint's",
    ),
]
Latents = Annotated[
    int | None,
    typer.Option(
        "--latents",
        metavar="N",
        help="How many of them, the latest, go through the whole network.",
        show_default="the checkpoint's",
    ),
]


DEFAULT_TOKENIZER = "maestro-performance-400"
_tokenizer: Any = typer.Option(
    "--tokenizer",
    metavar="NAME",
    help="Whose events: maestro-performance-400, or pedal-performance-623 with the pedal.",
    autocompletion=complete_tokenizer,
)
TokenizerName = Annotated[str, _tokenizer]
TokenizerNameIfAny = Annotated[str | None, _tokenizer]


def announce_device(console: Console, wanted: str) -> None:
    """Says which device `auto` took.

    Raises:
        UsageError: there is no device of that name.
        UnavailableError: it is not in this machine.
    """
    from perceiver_music.model.device import choose_device

    device = choose_device(wanted)
    console.info(f"device: {device}")
