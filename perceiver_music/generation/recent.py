"""What was heard in the last seconds, and its mean, kept up to date."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class Recent:
    """Values, each with the step that it belongs to; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, float]] = deque()
        self._sum = 0.0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, step: int, value: float) -> None:
        """Hear one, no earlier than the last."""
        self._held.append((step, value))
        self._sum += value

    def forget_before(self, step: int) -> None:
        """Forget those of earlier steps."""
        while self._held and self._held[0][0] < step:
            self._sum -= self._held.popleft()[1]

    def since(self, step: int) -> list[float]:
        """Those from a step on."""
        return [value for at, value in self._held if at >= step]

    def stretches(self, end: int, steps: int, *, fewest: int) -> Iterator[list[float]]:
        """Those of every so many steps, counted back from the end, that have so many at least."""
        parts: dict[int, list[float]] = {}
        for at, value in self._held:
            parts.setdefault((end - at) // steps, []).append(value)
        return (part for part in parts.values() if len(part) >= fewest)

    @property
    def mean(self) -> float:
        """Of all of them, of which there is one at least."""
        return self._sum / len(self._held)
