"""`perceiver-music infill`."""

from __future__ import annotations

from typing import Annotated

import typer

from perceiver_music.cli.generation import run_generation
from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.generation_options import (
    DEFAULT_LENGTH,
    DEFAULT_SAMPLING,
    Decoder,
    MinP,
    OnGrid,
    Output,
    Policy,
    Render,
    Seed,
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
from perceiver_music.errors import UsageError
from perceiver_music.generation.options import SamplingOptions

EXAMPLES = (
    "perceiver-music infill take3.mid --between 0:41 0:49.5",
    "perceiver-music infill take3.mid --between 41 49.5 -n 4 -o tries/ --render",
)


def infill(
    invocation: Invocation,
    midi: MidiFiles,
    between: Annotated[
        tuple[str, str],
        typer.Option(
            "--between",
            "-b",
            metavar="A B",
            help="The gap's first and last moment: 12.5, 12.5s or 1:30.",
            show_default=False,
        ),
    ],
    variations: Variations = 1,
    temperature: Temperature = DEFAULT_SAMPLING.temperature,
    top_p: TopP = DEFAULT_SAMPLING.top_p,
    min_p: MinP = DEFAULT_SAMPLING.min_p,
    top_k: TopK = DEFAULT_SAMPLING.top_k,
    grid: OnGrid = True,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    context: Context = None,
    latents: Latents = None,
    device: Device = "auto",
    decoder: Decoder = "auto",
    policy: Policy = "exact",
    output: Output = None,
    render: Render = False,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Make new music between two moments, and leave the rest as it is.

    Writes take3_infilled_<seed>.mid into the current folder and prints its path. Notes that begin
    in the gap are replaced, also those that sound beyond it. A key held into the gap may be let go
    at another moment of it, and the pedal's moves in the gap are left out: the new notes are as
    long as they should sound. They are piano music with the sound of the channel of most notes,
    in the tracks of both hands where the file has two; all else is silent in the gap.
    """
    call = GenerationCall(
        inputs=resolve_inputs(midi),
        default_name="{stem}_infilled_{seed}.mid",
        window={"between_seconds": _moments(between)},
        length=DEFAULT_LENGTH,
        ending=False,
        sampling=SamplingOptions(
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            top_k=top_k,
            keep_grid=grid,
            keep_levels=grid,
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
        existing=ExistingOutputs(force=force, skip=skip_existing),
    )
    return run_generation(invocation, call)


def _moments(between: tuple[str, str]) -> tuple[float, float]:
    try:
        first, last = (parse_moment(text) for text in between)
    except ValueError as error:
        raise UsageError(
            f"--between: {error}", hint="Give two moments, as in 0:41 0:49.5."
        ) from None
    if first >= last:
        raise UsageError(
            f"--between {between[0]} {between[1]}: no music lies between them",
            hint="Give the earlier moment first, then the later one.",
        )
    return first, last
