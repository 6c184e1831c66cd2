"""A roll for the terminal: half blocks where there is colour, braille where there is none.

A half block shows two pitches, one above the other, each in a colour of its own; a braille letter
shows four pitches at two moments. The roll takes the width that it is given and about the height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.moments import clock
from perceiver_music.view.palette import STEPS, oklch, shade_number
from perceiver_music.view.roll import Roll, pitch_name

LABEL_COLUMNS = 5
NARROWEST = 24
_MOST_SYSTEMS = 4
_LEAST_COLUMN_SECONDS = 0.06
_UPPER_HALF, _LOWER_HALF = "▀", "▄"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille letter by row and column."""
_PEDAL = "▁"
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)
_TIME_ROOM = 9
"""Columns from one time to the next, at least."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A run of characters with one foreground and one background colour, or none."""

    text: str
    colour: str | None = None
    ground: str | None = None


Line = tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """One system: the loudest shade in each place, 0 where nothing sounds, and whether it is new.

    Attributes:
        shade: `[rows, columns]`, 1 to `STEPS` where a note sounds; the top row is the highest.
        is_new: of the same shape.
        top: the highest pitch.
        per_row: pitches that share a row.
        begin: the time at which it begins.
        column_seconds: the time that a column lasts.
    """

    shade: npt.NDArray[np.uint8]
    is_new: npt.NDArray[np.bool_]
    top: int
    per_row: int
    begin: float
    column_seconds: float


def terminal_roll(roll: Roll, *, columns: int, lines: int, has_colour: bool) -> list[Line]:
    """The roll as lines of coloured cells.

    Args:
        roll: what to show.
        columns: width in characters.
        lines: height to aim for; at least one system is shown whatever it is.
        has_colour: whether colours are wanted.
    """
    width = max(NARROWEST, columns) - LABEL_COLUMNS - 1
    dots_across, dots_down = (1, 2) if has_colour else (2, 4)
    low, high = roll.pitch_range
    body = max(4, lines - 4)
    per_row = max(1, math.ceil((high - low + 1) / dots_down / body))
    text_lines = math.ceil((high - low + 1) / per_row / dots_down)
    overhead = 2 if roll.has_pedal else 1
    number = max(1, min(_MOST_SYSTEMS, (lines - 2) // (text_lines + overhead)))
    each = max(roll.seconds / number, _LEAST_COLUMN_SECONDS * width * dots_across)
    result = [_heading(roll, columns, has_colour)]
    for system in range(max(1, math.ceil(roll.seconds / each - 1e-9))):
        grid = _grid(
            roll,
            begin=system * each,
            column_seconds=each / (width * dots_across),
            shape=(text_lines * dots_down, width * dots_across),
            top=high,
            per_row=per_row,
        )
        result += _half_blocks(grid) if has_colour else _braille(grid)
        if roll.has_pedal:
            result.append(_pedal_line(roll, grid, width, has_colour))
        result.append(_time_line(grid, width, dots_across, min(roll.seconds, (system + 1) * each)))
    return result


def _heading(roll: Roll, columns: int, has_colour: bool) -> Line:
    text = "  ·  ".join((roll.title, *roll.facts))
    room = columns - 26 if roll.has_both and has_colour else columns - 1
    if len(text) > room:
        text = text[: max(1, room - 1)] + "…"
    if not roll.has_both or not has_colour:
        return (Cell(text=text),)
    return (
        Cell(text=text + "  "),
        Cell(text="■ ", colour=_shade(11, is_new=False)),
        Cell(text=f"{roll.words.old} "),
        Cell(text="■ ", colour=_shade(11, is_new=True)),
        Cell(text=roll.words.new),
    )


def _grid(
    roll: Roll,
    *,
    begin: float,
    column_seconds: float,
    shape: tuple[int, int],
    top: int,
    per_row: int,
) -> _Grid:
    shade = np.zeros(shape, dtype=np.uint8)
    is_new = np.zeros(shape, dtype=np.bool_)
    end = begin + shape[1] * column_seconds
    for row in np.flatnonzero((roll.end >= begin) & (roll.start < end)):
        line = (top - int(roll.pitch[row])) // per_row
        first = max(0, int((roll.start[row] - begin) / column_seconds))
        last = math.ceil((roll.end[row] - begin) / column_seconds - 1e-9)
        span = slice(first, min(shape[1], max(first + 1, last)))
        loud = shade_number(int(roll.velocity[row])) + 1
        is_louder = shade[line, span] < loud
        shade[line, span][is_louder] = loud
        is_new[line, span][is_louder] = roll.is_new[row]
    return _Grid(
        shade=shade,
        is_new=is_new,
        top=top,
        per_row=per_row,
        begin=begin,
        column_seconds=column_seconds,
    )


def _half_blocks(grid: _Grid) -> list[Line]:
    lines = []
    for row in range(0, len(grid.shade), 2):
        cells = [_row_label(grid, row, 2)]
        for column in range(grid.shade.shape[1]):
            upper, lower = (
                _shade(int(grid.shade[r, column]) - 1, is_new=bool(grid.is_new[r, column]))
                if grid.shade[r, column]
                else None
                for r in (row, row + 1)
            )
            if upper and lower:
                cells.append(Cell(text=_UPPER_HALF, colour=upper, ground=lower))
            elif upper or lower:
                cells.append(
                    Cell(text=_UPPER_HALF if upper else _LOWER_HALF, colour=upper or lower)
                )
            else:
                cells.append(Cell(text=" "))
        lines.append(_joined(cells))
    return lines


def _braille(grid: _Grid) -> list[Line]:
    lines: list[Line] = []
    for row in range(0, len(grid.shade), 4):
        text = ""
        for column in range(0, grid.shade.shape[1], 2):
            dots = sum(
                _DOTS[down][across]
                for down in range(4)
                for across in range(2)
                if grid.shade[row + down, column + across]
            )
            text += chr(_BRAILLE + dots) if dots else " "
        label = _row_label(grid, row, 4).text
        lines.append((Cell(text=(label + text).rstrip()),))
    return lines


def _row_label(grid: _Grid, row: int, rows: int) -> Cell:
    """The name of the C in these rows, if there is one."""
    high = grid.top - row * grid.per_row
    pitches = range(high, high - rows * grid.per_row, -1)
    name = next((pitch_name(pitch) for pitch in pitches if pitch % 12 == 0), "")
    return Cell(text=f"{name:>{LABEL_COLUMNS - 1}} ")


def _pedal_line(roll: Roll, grid: _Grid, width: int, has_colour: bool) -> Line:
    each = grid.column_seconds * grid.shade.shape[1] / width
    is_down = np.zeros(width, dtype=np.bool_)
    for begin, end, depth in roll.pedal_spans():
        first, last = ((moment - grid.begin) / each for moment in (begin, end))
        if depth >= 0.5 and last > 0 and first < width:
            is_down[max(0, int(first)) : max(int(first) + 1, math.ceil(last))] = True
    text = "".join(_PEDAL if down else " " for down in is_down)
    label = Cell(text=f"{'Ped.':>{LABEL_COLUMNS - 1}} ")
    return (label, Cell(text=text, colour=oklch(0.65, 0.02, 80) if has_colour else None))


def _time_line(grid: _Grid, width: int, dots_across: int, end: float) -> Line:
    """Round times, each beneath its moment."""
    each = grid.column_seconds * dots_across
    marks = [" "] * (width + LABEL_COLUMNS)
    step = next((t for t in _TIME_STEPS if t >= _TIME_ROOM * each), _TIME_STEPS[-1])
    for number in range(math.ceil(grid.begin / step), int(end / step) + 1):
        column = round((number * step - grid.begin) / each)
        name = clock(number * step)
        if column + len(name) <= width:
            marks[LABEL_COLUMNS + column : LABEL_COLUMNS + column + len(name)] = name
    return (Cell(text="".join(marks).rstrip()),)


def _shade(step: int, *, is_new: bool) -> str:
    """A colour that stands out on black and on white."""
    share = step / (STEPS - 1)
    if is_new:
        return oklch(0.80 - 0.22 * share, 0.08 + 0.11 * share, 62 - 34 * share)
    return oklch(0.78 - 0.24 * share, 0.05 + 0.10 * share, 240 + 18 * share)


def _joined(cells: list[Cell]) -> Line:
    """Neighbours of one look in one cell."""
    joined: list[Cell] = []
    for cell in cells:
        if joined and (joined[-1].colour, joined[-1].ground) == (cell.colour, cell.ground):
            joined[-1] = Cell(
                text=joined[-1].text + cell.text, colour=cell.colour, ground=cell.ground
            )
        else:
            joined.append(cell)
    return tuple(joined)
