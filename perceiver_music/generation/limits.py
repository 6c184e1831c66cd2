"""Where new music ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where the new music ends: whichever comes first; `end_step` counts from its beginning."""

    num_events: int | None = None
    num_notes: int | None = None
    end_step: int | None = None
    is_ending_allowed: bool = False

    def totals(self) -> dict[str, int]:
        """What is limited: `events`, `notes`, `steps`."""
        limits = {"events": self.num_events, "notes": self.num_notes, "steps": self.end_step}
        return {unit: total for unit, total in limits.items() if total is not None}

    def progress(self, *, events: int, notes: int, steps: int) -> float:
        """How much of the length is made: 1 when it is reached, 0 when there is no limit."""
        done = {"events": events, "notes": notes, "steps": steps}
        return max((done[unit] / total for unit, total in self.totals().items()), default=0.0)
