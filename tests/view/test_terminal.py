"""The roll in the terminal: as wide as asked, about as high, with and without colour."""

import numpy as np
import pytest

from perceiver_music.music.performance import Performance, note_array
from perceiver_music.view.roll import Roll
from perceiver_music.view.terminal import NARROWEST, terminal_roll

SECOND = 1_000_000


@pytest.mark.parametrize("columns", [10, 40, 80, 200])
@pytest.mark.parametrize("lines", [5, 24, 60])
@pytest.mark.parametrize("has_colour", [False, True])
def test_it_fits(performance: Performance, columns: int, lines: int, has_colour: bool) -> None:
    roll = Roll.of(performance, title="x", facts=("48 notes",), new_us=(6 * SECOND, None))
    rows = terminal_roll(roll, columns=columns, lines=lines, has_colour=has_colour)
    widths = [sum(len(cell.text) for cell in row) for row in rows]
    assert max(widths) <= max(columns, NARROWEST)
    assert len(rows) <= max(lines, 10)
    colours = {cell.colour for row in rows for cell in row} - {None}
    assert bool(colours) is has_colour
    text = "\n".join("".join(cell.text for cell in row) for row in rows)
    assert "0:00" in text
    assert "Ped." in text
    assert "C4" in text or lines == 5


def test_each_note_is_where_it_belongs() -> None:
    """Four notes a second apart, an octave up each time: a stair of dots."""
    start = np.arange(4) * SECOND
    notes = note_array(start, start + SECOND, [48, 60, 72, 84], [64] * 4)
    roll = Roll.of(Performance(notes=notes), title="x")
    rows = terminal_roll(roll, columns=46, lines=16, has_colour=False)
    body = ["".join(cell.text for cell in row) for row in rows[1:-1]]
    first = [
        next(i for i, c in enumerate(row) if ord(c) > 0x2800) for row in body if row.strip()[2:]
    ]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 4


def test_colours_tell_primer_from_new() -> None:
    start = np.arange(2) * SECOND
    notes = note_array(start, start + SECOND, [60, 60], [64, 64])
    roll = Roll.of(Performance(notes=notes), title="x", new_us=(SECOND, None))
    rows = terminal_roll(roll, columns=46, lines=30, has_colour=True)
    [row] = [row for row in rows[1:] if any(cell.colour for cell in row)]
    primer, new = [cell for cell in row if cell.colour]
    assert abs(len(primer.text) - len(new.text)) <= 1
    assert primer.colour != new.colour
