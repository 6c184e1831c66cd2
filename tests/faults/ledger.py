"""Keeping count of what was tried and what did not hold."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Ledger:
    """The account of one promise.

    Attributes:
        passed: trials in which it held.
        of: trials.
        broken: what happened in the others, the first few.
        notes: figures worth keeping beside the count.
        left_out: what could not be tried here, and why.
    """

    passed: int = 0
    of: int = 0
    broken: list[str] = field(default_factory=list)
    notes: dict[str, object] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    MOST_TOLD = 20

    def enter(self, holds: object, trial: str, why: object = "") -> bool:
        """Count one trial; `why` tells what happened when it did not hold."""
        self.of += 1
        if holds:
            self.passed += 1
        elif len(self.broken) < self.MOST_TOLD:
            self.broken.append(f"{trial}: {why}" if why != "" else trial)
        return bool(holds)

    def leave_out(self, trial: str, why: str) -> None:
        """A trial that cannot be made here: neither passed nor broken, and told as such."""
        self.notes[trial] = why
        self.left_out.append(f"{trial}: {why}")

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of the notes."""
        self.notes[name] = int(self.notes.get(name, 0)) + number  # type: ignore[call-overload]

    def most(self, name: str, value: float) -> None:
        """Keep the highest value in one of the notes."""
        self.notes[name] = max(float(self.notes.get(name, value)), value)  # type: ignore[arg-type]
