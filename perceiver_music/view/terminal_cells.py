"""What lines for the terminal are made of: runs of characters, and the colours of notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perceiver_music.view.palette import STEPS, oklch

DOTTED: Final = "⠂"
"""How a long note looks without colour where other notes are new."""
SOLID: Final = "⠒"
"""How one looks that is new."""
SEAM_COLOUR: Final = oklch(0.63, 0.15, 38)
PEDAL_COLOUR: Final = oklch(0.65, 0.02, 80)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A run of characters with one foreground and one background colour, or none."""

    text: str
    colour: str | None = None
    ground: str | None = None


Line = tuple[Cell, ...]


def shade_colour(step: int, *, is_new: bool) -> str:
    """A colour that stands out on black and on white."""
    share = step / (STEPS - 1)
    if is_new:
        return oklch(0.80 - 0.22 * share, 0.08 + 0.11 * share, 62 - 34 * share)
    return oklch(0.78 - 0.24 * share, 0.05 + 0.10 * share, 240 + 18 * share)


def joined(cells: list[Cell]) -> Line:
    """Neighbours of one look in one cell."""
    runs: list[Cell] = []
    for cell in cells:
        if runs and (runs[-1].colour, runs[-1].ground) == (cell.colour, cell.ground):
            runs[-1] = Cell(text=runs[-1].text + cell.text, colour=cell.colour, ground=cell.ground)
        else:
            runs.append(cell)
    return tuple(runs)
