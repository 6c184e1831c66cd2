"""Steps and scored events a second against context, drawn as SVG with two logarithmic axes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 400, 300, 56
COLOURS = {
    "perceiver_ar": "#2a5db0",
    "transformer": "#c0392b",
    "transformer_xl": "#7f8c8d",
    "perceiver_ar_torch": "#9dbbe8",
}
LABELS = {
    "perceiver_ar": "Perceiver AR",
    "transformer": "Transformer",
    "transformer_xl": "Transformer-XL",
    "perceiver_ar_torch": "Perceiver AR, torch's attention",
}
PANELS = (
    ("by_context", "steps_per_second", "steps/s against context"),
    ("by_context", "loss_tokens_per_second", "scored events/s against context"),
    ("by_depth", "steps_per_second", "steps/s against blocks"),
)

Points = dict[str, list[tuple[float, float]]]


class Axis:
    """A logarithmic axis from one end of some values to the other, on some pixels."""

    def __init__(self, values: list[float], first: float, last: float) -> None:
        self._low, self._high = math.log(min(values)), math.log(max(values))
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        share = (math.log(value) - self._low) / (self._high - self._low)
        return round(self._first + share * (self._last - self._first), 1)

    def powers(self, base: float) -> list[float]:
        """The powers of `base` within it."""
        low, high = (end / math.log(base) for end in (self._low, self._high))
        return [base**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]


def text(x: float, y: float, words: str, *, anchor: str = "middle", fill: str = "#333") -> str:
    place = f'x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}"'
    return f"<text {place}>{escape(words)}</text>"


def panel(points: Points, title: str, left: float) -> Iterator[str]:
    """One plot, its left edge at `left`."""
    everything = [point for series in points.values() for point in series]
    across = Axis([x for x, _ in everything], left + MARGIN, left + WIDTH - 16)
    up = Axis([y for _, y in everything], HEIGHT - MARGIN, 40)
    yield text(left + WIDTH / 2, 20, title)
    places = sorted({x for x, _ in everything})
    for place in places:
        label = f"{place // 1024:.0f}k" if place >= 1024 else f"{place:.0f}"
        yield text(across(place), HEIGHT - MARGIN + 20, label)
    for value in up.powers(10.0):
        ends = f'x1="{left + MARGIN}" x2="{left + WIDTH - 16}"'
        yield f'<line {ends} y1="{up(value)}" y2="{up(value)}" stroke="#ddd"/>'
        yield text(left + MARGIN - 6, up(value) + 4, f"{value:,.10g}", anchor="end")
    for name, series in points.items():
        line = " ".join(f"{across(x)},{up(y)}" for x, y in series)
        yield f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
        for x, y in series:
            yield f'<circle cx="{across(x)}" cy="{up(y)}" r="3" fill="{COLOURS[name]}"/>'


def points_of(models: dict[str, Any], figure: str) -> Points:
    return {
        name: [(float(place), row[figure]) for place, row in places.items()]
        for name, places in models.items()
    }


def draw(result: dict[str, Any]) -> str:
    """The picture of a `results.json`."""
    size = f'width="{WIDTH * len(PANELS)}" height="{HEIGHT + 20}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (part, figure, title) in enumerate(PANELS):
        lines += panel(points_of(result[part]["models"], figure), title, number * WIDTH)
    shown = [name for name in LABELS if name in result["by_context"]["models"]]
    for number, name in enumerate(shown):
        lines.append(text(80 + 180 * number, HEIGHT + 8, LABELS[name], fill=COLOURS[name]))
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
