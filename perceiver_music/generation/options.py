"""What a user may choose about new music. No torch here: the command line reads it for its help."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from perceiver_music.errors import UsageError

LengthUnit = Literal["events", "notes", "seconds", "bars"]
LENGTH_UNITS = ("events", "notes", "seconds", "bars")
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How the next event is drawn: temperature first, then the three cuts, then a draw.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest.
        top_k: only the k likeliest; None for all.
        top_p: only the likeliest that together make up this probability (arXiv 1904.09751).
        min_p: only those at least this many times as likely as the likeliest (arXiv 2407.01082).
        loop_guard: whether music that is stuck is led on (`generation.loops`).
        keep_pace: whether music that is far from the primer's pace is led back (`generation.pace`).
        keep_key: whether music far from the primer's key is led home (`generation.home_key`).
        keep_touch: whether music far from the primer's loudness is led back (`generation.touch`).
        keep_articulation: whether music far from how long the primer's notes are is led back
            (`generation.articulation`).
        keep_joint: whether the last part of a filled gap is looked for (`generation.joining`).
        keep_moving: whether waits far longer than the primer's are cut short (`generation.pace`).
        keep_grid: whether music after a quantized primer stays on its grid
            (`generation.grid_keeper`).
        keep_levels: whether it stays with velocities of which the primer has few
            (`generation.as_written`).
        come_back: whether phrases come back now and then (`generation.returning`).
        let_go: whether keys held for long are let go sooner (`generation.letting_go`).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = 0.99
    min_p: float | None = None
    loop_guard: bool = True
    keep_pace: bool = True
    keep_key: bool = True
    keep_touch: bool = True
    keep_articulation: bool = True
    keep_joint: bool = True
    keep_moving: bool = True
    keep_grid: bool = True
    keep_levels: bool = True
    come_back: bool = True
    let_go: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0.0 <= self.temperature <= 100.0):
            raise UsageError(
                f"--temperature {self.temperature:g} is not between 0 and 100",
                hint="Try values from 0.8 to 1.2.",
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"--top-k {self.top_k} leaves no event", hint="Use 1 or more.")
        for name, value in (("--top-p", self.top_p), ("--min-p", self.min_p)):
            if value is not None and not 0.0 < value <= 1.0:
                hint = "1 keeps every event; try 0.9 to 1." if name == "--top-p" else "Try 0.02."
                raise UsageError(f"{name} {value} is not above 0 and up to 1", hint=hint)

    @property
    def is_greedy(self) -> bool:
        """Whether there is nothing to draw: every time the same event."""
        return self.temperature == 0.0 or self.top_k == 1

    def as_json(self) -> dict[str, Any]:
        """The options as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LengthOption:
    """How much new music; bars are those of the primer's meter and tempo where it ends."""

    amount: float = 60.0
    unit: LengthUnit = "seconds"

    def __post_init__(self) -> None:
        if self.unit not in LENGTH_UNITS:
            raise UsageError(f"{self.unit!r} is not a unit of length")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise UsageError(f"{self.amount} {self.unit} of music is none")
        if self.unit != "seconds" and self.amount != int(self.amount):
            raise UsageError(f"{self.amount} {self.unit} is not a whole number of them")
