"""The options that turn MIDI into sound: those of `render`, and of `--render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOUND_PANEL = "Sound"
AUDIO_FORMATS = ("wav", "flac", "ogg", "mp3")

Soundfont = Annotated[
    Path | None,
    typer.Option(
        "--soundfont",
        metavar="FILE",
        help="The instrument: a SoundFont (.sf2, .sf3).",
        show_default="the best one installed",
        rich_help_panel=SOUND_PANEL,
    ),
]
SampleRate = Annotated[
    int,
    typer.Option(
        "--sample-rate",
        metavar="HZ",
        help="Samples a second: 32000, 44100, 48000 and, but for mp3, 88200 and 96000.",
        rich_help_panel=SOUND_PANEL,
    ),
]
Gain = Annotated[
    float,
    typer.Option(
        "--gain",
        metavar="DB",
        help="Louder or softer than usual; peaks never clip.",
        rich_help_panel=SOUND_PANEL,
    ),
]
Reverb = Annotated[
    bool,
    typer.Option(
        "--reverb/--no-reverb", help="The piano stands in a room.", rich_help_panel=SOUND_PANEL
    ),
]
Synthesizer = Annotated[
    str | None,
    typer.Option(
        "--synth",
        metavar="NAME",
        help="The synthesizer: system or pygame-ce.",
        show_default="the first one installed",
        rich_help_panel=SOUND_PANEL,
    ),
]
