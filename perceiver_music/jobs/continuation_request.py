"""What `continue`, `compose` and `infill` ask for and give back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perceiver_music.errors import UsageError
from perceiver_music.generation.options import LARGEST_SEED, LengthOption, SamplingOptions
from perceiver_music.music.moments import MAX_MUSIC_SECONDS


@dataclass(frozen=True, kw_only=True)
class ContinueRequest:
    """One piece of new music.

    Attributes:
        primer: a MIDI file, its bytes, or None to compose from nothing.
        primer_name: what the primer is called in messages and results.
        output: the MIDI file; None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        seed: with `index`, decides every draw.
        index: the number of this variation of this primer.
        length: of the new music.
        from_seconds: where the window of the primer begins.
        to_seconds: where it ends.
        last_seconds: its length, counted from its end.
        include_primer: whether the window comes before the new music in the output.
        ending: bring the piece to its end.
        between_seconds: the gap to fill; then nothing counts that says where to go on, and how
            long.
        sampling: how events are drawn.
        starts_at_once: whether a composed piece begins with its first note; a model begins as
            recordings do, with a second of silence.
    """

    primer: Path | bytes | None = None
    primer_name: str = ""
    output: Path | None = None
    overwrite: bool = False
    seed: int = 0
    index: int = 1
    length: LengthOption = field(default_factory=LengthOption)
    from_seconds: float | None = None
    to_seconds: float | None = None
    last_seconds: float | None = None
    include_primer: bool = True
    ending: bool = False
    between_seconds: tuple[float, float] | None = None
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    starts_at_once: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"--seed {self.seed} is not from 0 to {LARGEST_SEED}")
        for name in ("from_seconds", "to_seconds", "last_seconds"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= MAX_MUSIC_SECONDS:
                flag = name.removesuffix("_seconds")
                raise UsageError(f"--{flag} {value:g} is not within six hours of music")
        self._check_window()
        for value in self.between_seconds or ():
            if not 0.0 <= value <= MAX_MUSIC_SECONDS:
                raise UsageError(f"--between {value:g} is not within six hours of music")
        if self.primer is None and self.length.unit == "bars":
            raise UsageError(
                "without a primer nobody can say how long a bar is", hint="Use seconds or notes."
            )
        if self.length.unit == "seconds" and self.length.amount > MAX_MUSIC_SECONDS:
            raise UsageError("more than six hours of music", hint="Choose a shorter --length.")

    def _check_window(self) -> None:
        begin, end = self.from_seconds, self.to_seconds
        if begin is not None and self.last_seconds is not None:
            raise UsageError(
                f"--from {begin:g} and --last {self.last_seconds:g} both say where to begin",
                hint="Give one of them.",
            )
        if begin is not None and end is not None and begin >= end:
            raise UsageError(
                f"--from {begin:g} --to {end:g}: no music lies between them",
                hint="Give --from the earlier moment and --to the later one.",
            )

    @property
    def command(self) -> str:
        """The command that asks so."""
        if self.between_seconds is not None:
            return "infill"
        return "compose" if self.primer is None else "continue"


@dataclass(frozen=True, kw_only=True)
class ContinueResult:
    """One piece of new music that was made.

    Attributes:
        primer: the primer's name; None when there is none.
        output: the file written; None when `midi` carries it.
        events: events drawn.
        notes: notes of the new music.
        seconds: its length.
        ended: `length` or `ending`.
        events_per_second: how fast it was decoded, reading the primer included; of pieces that
            are decoded together each has an even share of the time.
        seconds_for_others: how much longer its turn took because others were decoded with it;
            below 0 where it was decoded in the turn of another.
        midi: the whole MIDI file.
        between_seconds: the gap that was filled, if one was.
        begins_at_seconds: when in the file the new music begins.
        circles_from_seconds: when in the file the new music begins to repeat itself to its end;
            None if it does not.
        lines_per_quarter: of the grid that it was kept to; None without one.
        returns: when in the file a passage comes back, and when it was played before, in seconds;
            below 0 where that is in a part of the primer that the file leaves out.
    """

    primer: str | None
    output: Path | None
    index: int
    seed: int
    primer_events: int
    events: int
    notes: int
    seconds: float
    ended: str
    checkpoint: str
    checkpoint_sha256: str
    sampling: SamplingOptions
    context: int
    latents: int
    events_per_second: float
    midi: bytes = field(repr=False)
    between_seconds: tuple[float, float] | None = None
    begins_at_seconds: float = 0.0
    circles_from_seconds: float | None = None
    seconds_for_others: float = 0.0
    lines_per_quarter: int | None = None
    returns: tuple[tuple[float, float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields of `continue --json`, `compose --json` and `infill --json`."""
        gap = {} if self.between_seconds is None else {"between": list(self.between_seconds)}
        return {
            **gap,
            "primer": self.primer,
            "output": None if self.output is None else os.fspath(self.output),
            "index": self.index,
            "seed": self.seed,
            "primer_events": self.primer_events,
            "events": self.events,
            "notes": self.notes,
            "seconds": self.seconds,
            "begins_at": self.begins_at_seconds,
            "ended": self.ended,
            "circles_from": self.circles_from_seconds,
            "grid_lines_per_quarter": self.lines_per_quarter,
            "returns": [{"at": at, "from": since} for at, since in self.returns],
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "sampling": self.sampling.as_json(),
            "context": self.context,
            "latents": self.latents,
            "events_per_second": round(self.events_per_second, 1),
        }
