"""The options of `continue`, `compose` and `infill`: what music is wanted, and how it is drawn."""

from __future__ import annotations

from typing import Annotated

import typer

from perceiver_music.cli.completion import complete_decoder, complete_policy
from perceiver_music.cli.lengths import Length, parse_length
from perceiver_music.cli.options import OUTPUT_PANEL
from perceiver_music.generation.options import LARGEST_SEED, SamplingOptions

SAMPLING_PANEL = "Sampling"
STREAM_PANEL = "While it is made"
DEFAULT_SAMPLING = SamplingOptions()
DEFAULT_LENGTH = parse_length("60s")

LengthOption = Annotated[
    Length,
    typer.Option(
        "--length",
        "-l",
        parser=parse_length,
        metavar="LENGTH",
        help="How much new music: 4096 (events), 500notes, 60s, 1:30 or 16bars.",
    ),
]
LengthWithoutBars = Annotated[
    Length,
    typer.Option(
        "--length",
        "-l",
        parser=parse_length,
        metavar="LENGTH",
        help="How much music: 4096 (events), 500notes, 60s or 1:30.",
    ),
]
Variations = Annotated[
    int,
    typer.Option(
        "--variations",
        "-n",
        metavar="N",
        min=1,
        max=100_000,
        help="How many different ones to make.",
    ),
]
Ending = Annotated[
    bool,
    typer.Option(
        "--ending",
        help="Bring the piece to an end of its own within the length, which is best 10s or more.",
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Below 1 keeps to what is likely, repeats and copies more; above 1 strays; 0 always "
        "takes the likeliest event.",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="P",
        help="Only the likeliest events that make up P of the probability; 1 takes all.",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
MinP = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        metavar="P",
        help="Only events at least P times as likely as the likeliest.",
        show_default=False,
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        help="Only the K likeliest events.",
        show_default=False,
        rich_help_panel=SAMPLING_PANEL,
    ),
]
OnGrid = Annotated[
    bool,
    typer.Option(
        "--grid/--no-grid",
        help="After a quantized file, as sequencers and notation programs write them, begin notes "
        "on its grid, at its velocities; played files have no grid.",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
ComesBack = Annotated[
    bool,
    typer.Option(
        "--returns/--no-returns",
        help="Now and then play a phrase again that was played 40 s ago or longer, as pianists do.",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=LARGEST_SEED,
        help="The same seed, the same music.",
        show_default="drawn, and shown",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
Decoder = Annotated[
    str,
    typer.Option(
        "--decoder",
        metavar="auto|int8|fp32|torch",
        help="How exactly the processor computes; auto takes int8, which is the fastest, and torch "
        "on a GPU.",
        autocompletion=complete_decoder,
    ),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="exact|slide",
        help="Once the music is longer than the context: slide forgets the oldest event for each "
        "new one instead of computing the rest anew; faster, at a small cost to every prediction.",
        autocompletion=complete_policy,
    ),
]
Render = Annotated[
    bool,
    typer.Option(
        "--render", help="Make the sound too, beside each MIDI file.", rich_help_panel=OUTPUT_PANEL
    ),
]
Stream = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Each event on stdout as soon as it is made, as a line of JSON; the result is the "
        "last line.",
        rich_help_panel=STREAM_PANEL,
    ),
]
Port = Annotated[
    str | None,
    typer.Option(
        "--port",
        metavar="NAME",
        help="Play it on this MIDI port while it is made; 'duet --list-ports' names them.",
        show_default=False,
        rich_help_panel=STREAM_PANEL,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A file, a folder/, a template with {stem} {index} {seed} {checkpoint}, or - for "
        "stdout.",
        show_default=False,
        rich_help_panel=OUTPUT_PANEL,
    ),
]
