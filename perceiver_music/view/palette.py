"""Colours: velocity as lightness, what is new as hue, on paper and on a dark screen.

Ramps run through OKLCH, in which equal steps look equally large. Blue against vermilion stays apart
for those who do not see red or green; from soft to loud the ramps never come near the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

STEPS = 16
"""Shades from the softest to the loudest."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """One look.

    Attributes:
        paper, ink, faint: ground, text, and text of lesser weight.
        line, octave, black: lines, the line beneath each C, rows of black keys.
        primer, new: shades of notes from soft to loud.
        new_ground, new_black: behind the new part, and rows of black keys there.
        pedal: the lane of the pedal.
        seam: the line where new music begins.
    """

    paper: str
    ink: str
    faint: str
    line: str
    octave: str
    black: str
    primer: tuple[str, ...]
    new: tuple[str, ...]
    new_ground: str
    new_black: str
    pedal: str
    seam: str

    def shade(self, velocity: int, *, is_new: bool) -> str:
        """The colour of a note."""
        ramp = self.new if is_new else self.primer
        return ramp[shade_number(velocity)]


def shade_number(velocity: int) -> int:
    """Which of the shades a velocity has; most pianists play between 25 and 105."""
    share = (int(velocity) - 20) / 88
    return min(STEPS - 1, max(0, int(share * STEPS)))


def oklch(lightness: float, chroma: float, hue: float) -> str:
    """A colour as `#rrggbb`: lightness 0 to 1, chroma, hue in degrees (Ottosson 2020)."""
    a = chroma * math.cos(math.radians(hue))
    b = chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(value)):02x}" for value in linear)


def _gamma(value: float) -> float:
    value = min(1.0, max(0.0, value))
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _ramp(soft: tuple[float, float, float], loud: tuple[float, float, float]) -> tuple[str, ...]:
    """From one (lightness, chroma, hue) to another."""
    rows = []
    for step in range(STEPS):
        share = step / (STEPS - 1)
        rows.append(oklch(*(a + (b - a) * share for a, b in zip(soft, loud, strict=True))))
    return tuple(rows)


LIGHT = Palette(
    paper="#fbf9f4",
    ink="#1f1d1a",
    faint="#6f6a61",
    line="#e7e2d6",
    octave="#cfc8b8",
    black="#f3efe5",
    primer=_ramp((0.77, 0.065, 240), (0.33, 0.115, 262)),
    new=_ramp((0.80, 0.105, 62), (0.43, 0.165, 25)),
    new_ground="#f9efe3",
    new_black="#f4e6d6",
    pedal="#a9a08d",
    seam="#b4502f",
)
DARK = Palette(
    paper="#14161b",
    ink="#eeeae2",
    faint="#9a968d",
    line="#22252d",
    octave="#383d49",
    black="#181b21",
    primer=_ramp((0.48, 0.075, 252), (0.88, 0.085, 225)),
    new=_ramp((0.53, 0.125, 40), (0.89, 0.135, 78)),
    new_ground="#1c1a1a",
    new_black="#221f1e",
    pedal="#5b5f6b",
    seam="#f08a5d",
)
