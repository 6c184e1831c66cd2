"""What `continue`, `compose` and `infill` are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.lengths import Length
from perceiver_music.cli.outputs import ExistingOutputs
from perceiver_music.generation.options import SamplingOptions


@dataclass(frozen=True, kw_only=True)
class GenerationCall:
    """What the user asked of `continue`, `compose` or `infill`, before any file is opened.

    Attributes:
        inputs: the primers; of `compose`, one input that is no file.
        default_name: template of the outputs when `-o` gives none.
        length, ending, sampling: how much new music, and of which kind.
        window: fields of the job's request that say which part of a primer is used, or its gap.
        checkpoint, device, decoder, policy, context, latents: what makes it.
        seed: None draws one.
        variations: items per input.
        output: the word after `-o`.
        render: whether each MIDI file is made audible too.
        existing: what to do with outputs that are there.
        stream: whether each event is printed as soon as it is made.
        port: the MIDI port that it is played on meanwhile.
    """

    inputs: Sequence[InputFile]
    default_name: str
    length: Length
    ending: bool
    sampling: SamplingOptions
    checkpoint: str | None
    device: str
    decoder: str
    policy: str
    context: int | None
    latents: int | None
    seed: int | None
    variations: int
    output: str | None
    render: bool
    existing: ExistingOutputs
    stream: bool = False
    port: str | None = None
    window: dict[str, Any] = field(default_factory=dict)
