"""What `duet` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from perceiver_music.errors import UsageError
from perceiver_music.generation.options import SamplingOptions


@dataclass(frozen=True, kw_only=True)
class DuetRequest:
    """Who plays with whom.

    Attributes:
        input_port: name of the keyboard's port, or a part of it; None for the first.
        output_port: where the answers go; None for the first, or with a file to nobody.
        midi_file: plays in the place of a keyboard; a file, or its bytes.
        midi_name: what it is called in messages and in the result.
        output: file for the conversation.
        overwrite: whether an existing one is replaced.
        pause_seconds: of silence that ask for an answer; 0 waits for the cue alone.
        cue: `soft`, `sostenuto`, a note such as `A0`, or its number: asks for an answer.
        answer_seconds: the longest answer.
        through: play on the output what the player plays, too.
        seed: with the answer's number, decides its draws; None draws one.
        sampling: how events are drawn.
        checkpoint, device, decoder, context, latents: what answers.
    """

    input_port: str | None = None
    output_port: str | None = None
    midi_file: Path | bytes | None = None
    midi_name: str = ""
    output: Path | None = None
    overwrite: bool = False
    pause_seconds: float = 1.0
    cue: str | None = None
    answer_seconds: float = 60.0
    through: bool = False
    seed: int | None = None
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    checkpoint: str | None = None
    device: str = "auto"
    decoder: str = "auto"
    context: int | None = None
    latents: int | None = None

    def __post_init__(self) -> None:
        if self.midi_file is not None and self.input_port is not None:
            raise UsageError(
                "--in and --midi-file both say who plays", hint="Give one of them, not both."
            )
        if not 0 <= self.pause_seconds <= 60:
            raise UsageError(f"--pause {self.pause_seconds:g} is not from 0 to 60 seconds")
        if self.pause_seconds == 0 and self.cue is None:
            raise UsageError(
                "without a pause nothing would ask for an answer",
                hint="Give a --pause of more than 0, such as 1, or a --cue.",
            )
        if not 0.1 <= self.answer_seconds <= 3600:
            raise UsageError(
                f"an answer of {self.answer_seconds:g} s: it is up to an hour long",
                hint="Give a --length from 0.1s to 3600s.",
            )

    @property
    def is_silent(self) -> bool:
        """Whether a file plays and nobody listens: then it need not take its time."""
        return self.midi_file is not None and self.output_port is None
