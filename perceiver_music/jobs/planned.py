"""A request that has met its primer, and the file that its music makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceiver_music.jobs.continuation_request import ContinueRequest

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Continuation
    from perceiver_music.generation.limits import Limits
    from perceiver_music.generation.primer import Opening, Window
    from perceiver_music.music.midi_file import MidiFile


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request that has met its primer.

    Attributes:
        primer: its music alone; None without one.
        midi: the same, read.
        window: the part of it that is gone on from; of `infill`, the gap.
        opening: what the model sees.
        limits: where the new music ends.
    """

    request: ContinueRequest
    primer: bytes | None
    midi: MidiFile | None
    window: Window
    opening: Opening
    limits: Limits

    @property
    def starts_at_once(self) -> bool:
        """Whether silence before the first note is left out: there is nothing that it follows."""
        return self.request.starts_at_once and self.midi is None

    @property
    def lead_us(self) -> int:
        """Silence before new music that is alone: what of a quantized primer's bar has passed.

        Below 0 where the next bar begins before any new note can.
        """
        grid = self.opening.grid
        if grid is None or self.request.include_primer:
            return 0
        lead_us = self.window.to_us - grid.grid.bar_of(self.window.to_us)
        return lead_us if self.opening.pedal is None else max(0, lead_us)

    @property
    def begins_at_seconds(self) -> float:
        """When the new music begins, in the file."""
        from perceiver_music.music.performance import MICROSECONDS

        if self.midi is None:
            return 0.0
        if self.request.between_seconds is not None:
            return self.window.from_us / MICROSECONDS
        if not self.request.include_primer:
            return max(0, self.lead_us) / MICROSECONDS
        return (self.window.to_us - self.window.from_us) / MICROSECONDS

    def as_midi(self, music: Continuation) -> bytes:
        """The file with the new music in it."""
        from perceiver_music.generation.as_written import performance_of
        from perceiver_music.music.midi_gap import FilledGap, filled_midi
        from perceiver_music.music.midi_window import Seam, continued_midi
        from perceiver_music.music.midi_writer import performance_to_midi
        from perceiver_music.tokenizer.vocabulary import MICROSECONDS_PER_STEP

        performance = performance_of(music, self.opening)
        if self.midi is None:
            return performance_to_midi(performance)
        released = {p: step * MICROSECONDS_PER_STEP for p, step in music.released.items()}
        if self.request.between_seconds is not None:
            gap = FilledGap(
                from_us=self.window.from_us,
                to_us=self.window.to_us,
                middle=performance,
                released_us=released,
            )
            return filled_midi(self.midi, gap)
        return continued_midi(
            self.midi,
            from_us=self.window.from_us,
            to_us=self.window.to_us,
            continuation=performance,
            seam=Seam(released_us=released, plays_pedal=self.opening.pedal is not None),
            include_primer=self.request.include_primer,
            lead_us=self.lead_us,
        )
