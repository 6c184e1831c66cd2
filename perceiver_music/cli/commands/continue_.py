"""`perceiver-music continue`."""

from __future__ import annotations

from typing import Annotated

import typer

from perceiver_music.cli.generation import run_generation
from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.generation_options import (
    DEFAULT_LENGTH,
    DEFAULT_SAMPLING,
    ComesBack,
    Decoder,
    Ending,
    LengthOption,
    MinP,
    OnGrid,
    Output,
    Policy,
    Port,
    Render,
    Seed,
    Stream,
    Temperature,
    TopK,
    TopP,
    Variations,
)
from perceiver_music.cli.inputs import resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.lengths import parse_moment
from perceiver_music.cli.options import (
    Checkpoint,
    Context,
    Device,
    Force,
    Latents,
    MidiFiles,
    SkipExisting,
)
from perceiver_music.cli.outputs import ExistingOutputs
from perceiver_music.generation.options import SamplingOptions

EXAMPLES = (
    "perceiver-music continue primer.mid",
    "perceiver-music continue primer.mid --last 30s -n 4 -o out/ --render",
    "perceiver-music continue *.mid --to 1:30 --length 16bars -o '{stem}_{index}.mid'",
    "perceiver-music continue - -o - < primer.mid > longer.mid",
    "perceiver-music continue primer.mid --port synth",
)
PRIMER_PANEL = "The primer"


def _moment(name: str, help_text: str) -> typer.models.OptionInfo:
    return typer.Option(
        name,
        parser=parse_moment,
        metavar="TIME",
        help=help_text,
        show_default=False,
        rich_help_panel=PRIMER_PANEL,
    )


def continue_(
    invocation: Invocation,
    primer: MidiFiles,
    from_: Annotated[
        float | None, _moment("--from", "Leave out what comes before: 12.5, 12.5s or 1:30.")
    ] = None,
    to: Annotated[float | None, _moment("--to", "Go on from here.")] = None,
    last: Annotated[float | None, _moment("--last", "Use only so much of its end: 30s.")] = None,
    no_primer: Annotated[
        bool,
        typer.Option(
            "--no-primer", help="Write the new music alone.", rich_help_panel=PRIMER_PANEL
        ),
    ] = False,
    length: LengthOption = DEFAULT_LENGTH,
    variations: Variations = 1,
    ending: Ending = False,
    temperature: Temperature = DEFAULT_SAMPLING.temperature,
    top_p: TopP = DEFAULT_SAMPLING.top_p,
    min_p: MinP = DEFAULT_SAMPLING.min_p,
    top_k: TopK = DEFAULT_SAMPLING.top_k,
    grid: OnGrid = True,
    returns: ComesBack = True,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    context: Context = None,
    latents: Latents = None,
    device: Device = "auto",
    decoder: Decoder = "auto",
    policy: Policy = "exact",
    output: Output = None,
    render: Render = False,
    stream: Stream = False,
    port: Port = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Go on where a piece of yours ends.

    Writes primer_continued_<seed>.mid into the current folder and prints its path. The primer
    stays in it as it is, note for note. --length counts new music only, from where the primer's
    last sound ends, held by its pedal or not, or from --to; given as a time, nothing sounds beyond
    it. The pedal of new music is in the lengths of its notes: it has no pedal moves. It is piano
    music with the sound of the channel of most notes, in the tracks of both hands where the
    primer has two; all else, such as drums, stops with the primer.
    """
    call = GenerationCall(
        inputs=resolve_inputs(primer),
        default_name="{stem}_continued_{seed}.mid",
        window={
            "from_seconds": from_,
            "to_seconds": to,
            "last_seconds": last,
            "include_primer": not no_primer,
        },
        length=length,
        ending=ending,
        sampling=SamplingOptions(
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            top_k=top_k,
            keep_grid=grid,
            keep_levels=grid,
            come_back=returns,
        ),
        checkpoint=checkpoint,
        device=device,
        decoder=decoder,
        policy=policy,
        context=context,
        latents=latents,
        seed=seed,
        variations=variations,
        output=output,
        render=render,
        stream=stream,
        port=port,
        existing=ExistingOutputs(force=force, skip=skip_existing),
    )
    return run_generation(invocation, call)
