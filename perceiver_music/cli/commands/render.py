"""`perceiver-music render`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.inputs import InputFile, resolve_inputs
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.options import OUTPUT_PANEL, Force, MidiFiles, SkipExisting
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_stdout,
    refuse_collisions,
)
from perceiver_music.cli.sound import (
    AUDIO_FORMATS,
    SOUND_PANEL,
    Gain,
    Reverb,
    SampleRate,
    Soundfont,
    Synthesizer,
)
from perceiver_music.errors import PerceiverMusicError, UsageError

if TYPE_CHECKING:
    from perceiver_music.jobs.render import RenderRequest

EXAMPLES = (
    "perceiver-music render song.mid",
    "perceiver-music render *.mid -o audio/ --format flac",
    "perceiver-music render - -o - < song.mid | aplay",
)


def render(
    invocation: Invocation,
    midi: MidiFiles,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A file (.wav .flac .ogg .mp3), a folder/, a template with {stem}, or - for "
            "stdout.",
            show_default="{stem}.wav",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    audio_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="wav|flac|ogg|mp3",
            help="The kind of audio file.",
            show_default="what -o ends in; wav for a folder/, - or no -o",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    bit_depth: Annotated[
        str,
        typer.Option(
            "--bit-depth",
            metavar="16|24|float",
            help="Bits of each sample: of wav all three, of flac 16 and 24.",
            rich_help_panel=SOUND_PANEL,
        ),
    ] = "16",
    sample_rate: SampleRate = 44_100,
    gain: Gain = 0.0,
    reverb: Reverb = True,
    soundfont: Soundfont = None,
    synth: Synthesizer = None,
    force: Force = False,
    skip_existing: SkipExisting = False,
) -> int:
    """Turn MIDI into sound.

    Writes x.wav for x.mid into the current folder and prints its path. All is played on one piano,
    with its pedals: drums, other instruments, bends and changes of volume are left out.
    """
    if audio_format is not None and audio_format not in AUDIO_FORMATS:
        raise UsageError(
            f"'{audio_format}' is not an audio format that we write",
            hint=f"Use one of {', '.join(AUDIO_FORMATS)}.",
        )
    existing = ExistingOutputs(force=force, skip=skip_existing)
    names = OutputNames(wanted=output, default=f"{{stem}}.{audio_format or 'wav'}")
    _refuse_contradiction(names, audio_format)
    inputs = resolve_inputs(midi)
    if names.to_stdout:
        check_stdout(num_items=len(inputs), as_json=invocation.console.as_json)
    options = {
        "audio_format": audio_format,
        "bit_depth": bit_depth,
        "sample_rate": sample_rate,
        "gain_db": gain,
        "reverb": reverb,
        "soundfont": soundfont,
        "synthesizer": synth,
    }
    targets = [
        None if names.to_stdout or item.failure else names.path(NameParts(stem=item.stem))
        for item in inputs
    ]
    refuse_collisions(
        [[] if target is None else [target] for target in targets],
        inputs=[item.path for item in inputs],
    )
    pairs = list(zip(inputs, targets, strict=True))
    _refuse_what_suits_no_file(pairs, existing, options)
    work = (
        Item(
            inputs=[item.name],
            work=partial(_render_one, invocation, item, target, existing, options),
        )
        for item, target in pairs
    )
    return run_batch(invocation, work, num_inputs=len(inputs), writes_files=True)


def _refuse_contradiction(names: OutputNames, audio_format: str | None) -> None:
    ending = Path(names.template).suffix.lower().removeprefix(".")
    if audio_format is not None and ending in AUDIO_FORMATS and ending != audio_format:
        raise UsageError(
            f"--format {audio_format} and -o {names.wanted} contradict each other",
            hint=f"Leave out --format, or end the name in .{audio_format}.",
        )


def _refuse_what_suits_no_file(
    pairs: Sequence[tuple[InputFile, Path | None]],
    existing: ExistingOutputs,
    options: dict[str, Any],
) -> None:
    """Tells of options that suit none of many files once, not once a file."""
    from perceiver_music.jobs import render as job

    first = None
    for item, target in pairs if len(pairs) > 1 else ():
        if item.failure is not None or (target is not None and existing.is_there(target)):
            continue
        try:
            job.check(_request(item, target, existing, options))
        except PerceiverMusicError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _request(
    item: InputFile, target: Path | None, existing: ExistingOutputs, options: dict[str, Any]
) -> RenderRequest:
    from perceiver_music.jobs import render as job

    return job.RenderRequest(
        midi=item.source,
        input_name=item.name,
        output=target,
        overwrite=existing.force,
        **options,
    )


def _render_one(
    invocation: Invocation,
    item: InputFile,
    target: Path | None,
    existing: ExistingOutputs,
    options: dict[str, Any],
    started: float,
) -> bool:
    if target is not None and existing.should_skip(target):
        invocation.skipped([target], inputs=[item.name], since=started)
        return False
    from perceiver_music.jobs import render as job

    request = _request(item, target, existing, options)
    with invocation.console.progress(f"render {item.stem}") as on_progress:
        result = job.run(request, on_progress, invocation.console.warning)
    invocation.console.info_once(f"played by {result.synthesizer}, {result.soundfont}")
    if result.output is None:
        invocation.console.binary(result.audio or b"")
    else:
        invocation.written(result.output)
        invocation.emit(
            result.as_json(), inputs=[item.name], outputs=[result.output], since=started
        )
    return True
