"""The items of `continue`, `compose` and `infill`: each one's primer, number and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.outputs import ExistingOutputs, NameParts, OutputNames
from perceiver_music.errors import OutputExistsError
from perceiver_music.generation.options import LengthOption as LengthOfMusic

if TYPE_CHECKING:
    from perceiver_music.jobs.continuation import ContinueRequest

AUDIO_SUFFIX = ".wav"


@dataclass(frozen=True, kw_only=True)
class Variation:
    """One item of the batch: which primer, which number, and where it goes."""

    source: InputFile
    index: int
    seed: int
    midi: Path | None
    audio: Path | None
    checkpoint: Mapping[str, str]

    @property
    def fields(self) -> dict[str, object]:
        """What every JSON object of this item says, however it ends."""
        return {"seed": self.seed, "index": self.index, **self.checkpoint}

    @property
    def input_names(self) -> list[str]:
        return [] if self.source.is_nothing else [self.source.name]

    @property
    def outputs(self) -> list[Path]:
        return [path for path in (self.midi, self.audio) if path is not None]


def variations_of(call: GenerationCall, names: OutputNames, seed: int) -> Iterator[Variation]:
    """Every variation of every primer, in their order.

    Raises:
        UnavailableError: there is no such checkpoint, or it has not learned to fill gaps.
        UsageError: a name's template does not work.
    """
    from perceiver_music.jobs.continuation_plan import check_infill
    from perceiver_music.jobs.models import info

    description = info(call.checkpoint).description
    if "between_seconds" in call.window:
        check_infill(description)
    checkpoint = {"checkpoint": description.name, "checkpoint_sha256": description.sha256}
    for source in call.inputs:
        make = partial(Variation, source=source, seed=seed, checkpoint=checkpoint)
        if source.failure is not None:  # said once, not once a variation
            yield make(index=1, midi=None, audio=None)
            continue
        for index in range(1, call.variations + 1):
            parts = NameParts(stem=source.stem, index=index, seed=seed, checkpoint=description.name)
            midi = None if names.to_stdout else names.path(parts)
            audio = midi.with_suffix(AUDIO_SUFFIX) if midi is not None and call.render else None
            yield make(index=index, midi=midi, audio=audio)


def request_for(call: GenerationCall, item: Variation) -> ContinueRequest:
    """What the job is asked for.

    Raises:
        PerceiverMusicError: the input is none, or the request makes no sense.
    """
    from perceiver_music.jobs.continuation import ContinueRequest

    primer = None if item.source.is_nothing else item.source.source
    return ContinueRequest(
        primer=primer,
        primer_name=item.source.name if primer is not None else "",
        output=item.midi,
        overwrite=call.existing.force,
        seed=item.seed,
        index=item.index,
        length=LengthOfMusic(amount=call.length.amount, unit=call.length.unit),
        ending=call.ending,
        sampling=call.sampling,
        **call.window,
    )


def is_there(item: Variation, existing: ExistingOutputs) -> bool:
    """Whether the MIDI file is there and is to be left alone.

    Raises:
        OutputExistsError: something is there, and is neither to be left alone nor replaced.
    """
    midi_is_there = item.midi is not None and existing.should_skip(item.midi)
    if item.audio is not None and existing.should_skip(item.audio) and not midi_is_there:
        raise OutputExistsError(
            "exists already, but the MIDI file that belongs to it does not",
            path=item.audio,
            hint="Use --force to make both anew, or -o to write elsewhere.",
        )
    return midi_is_there
