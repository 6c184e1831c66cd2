"""What `continue` and `compose` share: their options, and the batch that they are."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.lengths import Length, parse_length
from perceiver_music.cli.options import OUTPUT_PANEL, announce_device
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_stdout,
    refuse_collisions,
)
from perceiver_music.errors import UsageError

SAMPLING_PANEL = "Sampling"
LARGEST_SEED = 2**31 - 1
AUDIO_SUFFIX = ".wav"
MIDI_SUFFIXES = (".mid", ".midi")

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
Variations = Annotated[
    int,
    typer.Option("--variations", "-n", metavar="N", min=1, help="So many different ones."),
]
Ending = Annotated[
    bool, typer.Option("--ending", help="Stop where the model ends the piece, if that is sooner.")
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Below 1 safer, above 1 wilder; 0 always takes the likeliest event.",
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="P",
        help="Only the likeliest events that make up P of the probability.",
        show_default=False,
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
Render = Annotated[
    bool,
    typer.Option(
        "--render", help="Make the sound too, beside each MIDI file.", rich_help_panel=OUTPUT_PANEL
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


@dataclass(frozen=True, kw_only=True)
class GenerationCall:
    """What the user asked of `continue` or `compose`, before any file is opened.

    Attributes:
        inputs: the primers; of `compose`, one input that is no file.
        default_name: template of the outputs when `-o` gives none.
        options: fields of the job's request that are the same for every item.
        checkpoint, device: as on the command line.
        seed: None draws one.
        variations: items per input.
        output: the word after `-o`.
        render: whether each MIDI file is made audible too.
        existing: what to do with outputs that are there.
    """

    inputs: Sequence[InputFile]
    default_name: str
    options: dict[str, Any]
    checkpoint: str | None
    device: str
    seed: int | None
    variations: int
    output: str | None
    render: bool
    existing: ExistingOutputs


@dataclass(frozen=True, kw_only=True)
class _Variation:
    """One item of the batch: which primer, which number, and where it goes."""

    source: InputFile
    index: int
    seed: int
    midi: Path | None
    audio: Path | None

    @property
    def outputs(self) -> list[Path]:
        return [path for path in (self.midi, self.audio) if path is not None]


def run_generation(invocation: Invocation, call: GenerationCall) -> int:
    """Makes every variation of every primer, one after the other; returns the exit code."""
    console = invocation.console
    names = OutputNames(wanted=call.output, default=call.default_name, numbered=call.variations > 1)
    _check_names(call, names, as_json=console.as_json)
    seed = secrets.randbelow(LARGEST_SEED + 1) if call.seed is None else call.seed
    variations = list(_variations(call, names, seed))
    refuse_collisions(
        [item.outputs for item in variations], inputs=[item.source.path for item in variations]
    )
    announce_device(console, call.device)
    console.info(f"seed: {seed}")
    items = (
        Item(name=item.source.name, work=partial(_make, invocation, call, item))
        for item in variations
    )
    return run_batch(invocation, items, num_inputs=len(call.inputs))


def _check_names(call: GenerationCall, names: OutputNames, *, as_json: bool) -> None:
    if names.to_stdout:
        check_stdout(
            num_items=len(call.inputs) * call.variations,
            as_json=as_json,
            also_writes="--render" if call.render else None,
        )
    elif not names.template.lower().endswith(MIDI_SUFFIXES):
        raise UsageError(
            f"-o {call.output} does not name a MIDI file",
            hint="End it in .mid (or in / for a folder); --render makes the sound beside it.",
        )


def _variations(call: GenerationCall, names: OutputNames, seed: int) -> Iterator[_Variation]:
    checkpoint = _checkpoint_name(call) if "{checkpoint" in names.template else None
    for source in call.inputs:
        if source.failure is not None:  # said once, not once a variation
            yield _Variation(source=source, index=1, seed=seed, midi=None, audio=None)
            continue
        for index in range(1, call.variations + 1):
            parts = NameParts(stem=source.stem, index=index, seed=seed, checkpoint=checkpoint)
            midi = None if names.to_stdout else names.path(parts)
            audio = midi.with_suffix(AUDIO_SUFFIX) if midi is not None and call.render else None
            yield _Variation(source=source, index=index, seed=seed, midi=midi, audio=audio)


def _checkpoint_name(call: GenerationCall) -> str:
    from perceiver_music.jobs.models import info

    return info(call.checkpoint).description.name


def _make(invocation: Invocation, call: GenerationCall, item: _Variation, started: float) -> bool:
    """Makes one variation and prints what it became; False when it was there already."""
    source = _primer(item)
    inputs = [] if source is None else [item.source.name]
    if _is_there(item, call.existing):
        assert item.midi is not None
        invocation.skipped(item.midi, inputs=inputs, since=started)
        return False
    from perceiver_music.jobs import continuation as job

    request = job.ContinuationRequest(
        primer=source,
        primer_name=item.source.name,
        output=item.midi,
        overwrite=call.existing.force,
        checkpoint=call.checkpoint,
        device=call.device,
        seed=item.seed,
        index=item.index,
        **call.options,
    )
    console = invocation.console
    with console.progress(item.source.stem) as on_progress:
        result = job.run(request, on_progress, console.warning)
    if item.midi is None:
        console.binary(result.midi)
        return True
    fields: dict[str, Any] = result.as_json()
    also = []
    if item.audio is not None:
        fields["audio"] = _make_audible(invocation, item, call.existing)
        also.append(str(item.audio))
    invocation.result_path(str(item.midi), fields, inputs=inputs, also=also, since=started)
    return True


def _primer(item: _Variation) -> Path | bytes | None:
    return None if item.source.is_nothing else item.source.source


def _is_there(item: _Variation, existing: ExistingOutputs) -> bool:
    """Whether all that the item makes is there and is to be left alone."""
    there = [existing.should_skip(path) for path in item.outputs]
    return bool(there) and all(there)


def _make_audible(
    invocation: Invocation, item: _Variation, existing: ExistingOutputs
) -> dict[str, object]:
    from perceiver_music.jobs import render as job

    assert item.midi is not None
    request = job.RenderRequest(
        midi=item.midi, input_name=str(item.midi), output=item.audio, overwrite=existing.force
    )
    console = invocation.console
    with console.progress(f"render {item.midi.stem}") as on_progress:
        result = job.run(request, on_progress, console.warning)
    console.info(f"played by {result.synthesizer}, {result.soundfont}")
    return result.as_json()
