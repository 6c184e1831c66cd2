"""`perceiver-music compose`."""

from __future__ import annotations

from perceiver_music.cli.generation import (
    Ending,
    GenerationCall,
    LengthOption,
    MinP,
    Output,
    Render,
    Seed,
    Temperature,
    TopK,
    TopP,
    Variations,
    run_generation,
)
from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.lengths import parse_length
from perceiver_music.cli.options import Checkpoint, Context, Device, Force, Latents, SkipExisting
from perceiver_music.cli.outputs import ExistingOutputs

EXAMPLES = (
    "perceiver-music compose --render",
    "perceiver-music compose --length 2:00 --ending --seed 7 -o nocturne.mid",
    "perceiver-music compose -n 4 -o 'ideas/{seed}_{index}.mid'",
)
STEM = "composed"


def compose(
    invocation: Invocation,
    length: LengthOption = parse_length("60s"),  # noqa: B008 (a frozen value)
    variations: Variations = 1,
    ending: Ending = False,
    temperature: Temperature = 1.0,
    top_p: TopP = None,
    min_p: MinP = None,
    top_k: TopK = None,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    context: Context = None,
    latents: Latents = None,
    device: Device = "auto",
    output: Output = None,
    render: Render = False,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Compose a piece from nothing.

    Writes composed_<seed>.mid into the current folder and prints its path.
    """
    call = GenerationCall(
        inputs=(InputFile.nothing(STEM),),
        default_name="{stem}_{seed}.mid",
        options={
            "length": length,
            "ending": ending,
            "temperature": temperature,
            "top_p": top_p,
            "min_p": min_p,
            "top_k": top_k,
            "context": context,
            "latents": latents,
        },
        checkpoint=checkpoint,
        device=device,
        seed=seed,
        variations=variations,
        output=output,
        render=render,
        existing=ExistingOutputs(force=force, skip=skip_existing),
    )
    return run_generation(invocation, call)
