"""`perceiver-music compose`."""

from __future__ import annotations

from perceiver_music.cli.generation import run_generation
from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.generation_options import (
    DEFAULT_LENGTH,
    DEFAULT_SAMPLING,
    ComesBack,
    Decoder,
    Ending,
    LengthWithoutBars,
    MinP,
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
from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import Checkpoint, Context, Device, Force, Latents, SkipExisting
from perceiver_music.cli.outputs import ExistingOutputs
from perceiver_music.generation.options import SamplingOptions

EXAMPLES = (
    "perceiver-music compose --render",
    "perceiver-music compose --length 2:00 --ending --seed 7 -o nocturne.mid",
    "perceiver-music compose -n 4 -o 'ideas/{seed}_{index}.mid'",
)
STEM = "composed"


def compose(
    invocation: Invocation,
    length: LengthWithoutBars = DEFAULT_LENGTH,
    variations: Variations = 1,
    ending: Ending = False,
    temperature: Temperature = DEFAULT_SAMPLING.temperature,
    top_p: TopP = DEFAULT_SAMPLING.top_p,
    min_p: MinP = DEFAULT_SAMPLING.min_p,
    top_k: TopK = DEFAULT_SAMPLING.top_k,
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
    """Compose a piece from nothing.

    Writes composed_<seed>.mid into the current folder and prints its path.
    """
    call = GenerationCall(
        inputs=(InputFile.nothing(STEM),),
        default_name="{stem}_{seed}.mid",
        length=length,
        ending=ending,
        sampling=SamplingOptions(
            temperature=temperature, top_p=top_p, min_p=min_p, top_k=top_k, come_back=returns
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
