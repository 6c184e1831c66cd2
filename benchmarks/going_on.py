"""New music after the first seconds of a piece, as `continue` makes it."""

from __future__ import annotations

from pathlib import Path

from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation import ContinueRequest, Session
from perceiver_music.music.midi_file import MidiFile, parse_midi


def goes_on(
    session: Session,
    primer: bytes | Path,
    name: str,
    sampling: SamplingOptions,
    *,
    primer_seconds: float,
    new_seconds: float,
) -> MidiFile:
    """The primer's first seconds, and what was made of them with seed 1."""
    request = ContinueRequest(
        primer=primer,
        primer_name=name,
        seed=1,
        to_seconds=primer_seconds,
        length=LengthOption(amount=new_seconds, unit="seconds"),
        sampling=sampling,
    )
    return parse_midi(session.run(request).midi, name=name)
