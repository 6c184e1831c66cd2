"""A roll for the terminal: half blocks where there is colour, braille where there is none.

A half block shows two pitches, one above the other, each in a colour of its own; a braille letter
shows four pitches at two moments. Where some of the music is new, and no colour tells which, the
other notes are dotted. The roll takes the width that it is given and about the height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.moments import clock
from perceiver_music.view.palette import shade_number
from perceiver_music.view.roll import Roll, pitch_name
from perceiver_music.view.terminal_cells import (
    PEDAL_COLOUR,
    SEAM_COLOUR,
    Cell,
    Line,
    joined,
    shade_colour,
)
from perceiver_music.view.terminal_heading import heading

LABEL_COLUMNS = 5
NARROWEST = 24
_MOST_SYSTEMS = 4
_LEAST_COLUMN_SECONDS = 0.06
_UPPER_HALF, _LOWER_HALF = "▀", "▄"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille letter by row and column."""
_PEDAL = "▁"
_SEAM, _SEAM_FOOT, _SEAM_FOOT_AT_THE_END = "│", "└", "┘"
_MOST_HEADING_LINES = 3
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)
_FIRST_TIME = 5
"""Columns of the time at which a roll begins; no name stands in its place."""
_TIME_ROOM = 9
"""Columns from one time to the next, at least."""


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """One system: the loudest shade in each place, 0 where nothing sounds, and whether it is new.

    Attributes:
        shade: `[rows, columns]`, 1 to `STEPS` where a note sounds; the top row is the highest.
        is_new: of the same shape.
        is_drawn: of the same shape; every second moment of a dotted note is not.
        seams: column of characters -> name, where new music begins or ends.
        top: the highest pitch.
        per_row: pitches that share a row.
        begin: the time at which it begins.
        column_seconds: the time that a column lasts.
    """

    shade: npt.NDArray[np.uint8]
    is_new: npt.NDArray[np.bool_]
    is_drawn: npt.NDArray[np.bool_]
    seams: dict[int, str]
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
    top = heading(
        roll,
        columns=max(NARROWEST, columns),
        most_lines=min(_MOST_HEADING_LINES, max(2, lines // 8)),
        has_colour=has_colour,
    )
    body = max(4, lines - len(top) - 3)
    per_row = max(1, math.ceil((high - low + 1) / dots_down / body))
    text_lines = math.ceil((high - low + 1) / per_row / dots_down)
    overhead = 2 if roll.has_pedal else 1
    number = max(1, min(_MOST_SYSTEMS, (lines - len(top) - 1) // (text_lines + overhead)))
    each = max(roll.seconds / number, _LEAST_COLUMN_SECONDS * width * dots_across)
    result = top
    for system in range(max(1, math.ceil(roll.seconds / each - 1e-9))):
        grid = _grid(
            roll,
            begin=system * each,
            column_seconds=each / (width * dots_across),
            dots_across=dots_across,
            shape=(text_lines * dots_down, width * dots_across),
            top=high,
            per_row=per_row,
        )
        result += _half_blocks(grid) if has_colour else _braille(grid)
        if roll.has_pedal:
            result.append(_pedal_line(roll, grid, width, has_colour))
        result.append(_time_line(grid, width, has_colour, min(roll.seconds, (system + 1) * each)))
    return result


def _grid(
    roll: Roll,
    *,
    begin: float,
    column_seconds: float,
    dots_across: int,
    shape: tuple[int, int],
    top: int,
    per_row: int,
) -> _Grid:
    shade = np.zeros(shape, dtype=np.uint8)
    is_new, is_drawn = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
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
        is_drawn[line, span][:: 2 if roll.has_both and not roll.is_new[row] else 1] = True
    return _Grid(
        shade=shade,
        is_new=is_new,
        is_drawn=is_drawn,
        seams={
            min(int((moment - begin) / column_seconds), shape[1] - 1) // dots_across: name
            for moment, name in roll.seams()
            if begin <= moment < end
        },
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
                shade_colour(int(grid.shade[r, column]) - 1, is_new=bool(grid.is_new[r, column]))
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
            elif column in grid.seams:
                cells.append(Cell(text=_SEAM, colour=SEAM_COLOUR))
            else:
                cells.append(Cell(text=" "))
        lines.append(joined(cells))
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
                if grid.is_drawn[row + down, column + across]
            )
            blank = _SEAM if column // 2 in grid.seams else " "
            text += chr(_BRAILLE + dots) if dots else blank
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
    cells = [Cell(text=f"{'Ped.':>{LABEL_COLUMNS - 1}} ")]
    for column, down in enumerate(is_down):
        is_seam = column in grid.seams and not down
        colour = SEAM_COLOUR if is_seam else PEDAL_COLOUR
        text = _SEAM if is_seam else _PEDAL if down else " "
        cells.append(Cell(text=text, colour=colour if has_colour else None))
    return joined(cells)


def _time_line(grid: _Grid, width: int, has_colour: bool, end: float) -> Line:
    """Names of the seams, and between them round times, each beneath its moment."""
    marks, is_seam = [" "] * width, [False] * width

    def is_free(first: int, after: int) -> bool:
        return first >= 0 and after <= width and not any(is_seam[max(0, first - 1) : after + 1])

    for column, name in grid.seams.items():
        following = min((other for other in grid.seams if other > column), default=width + 1)
        first, text = column, _SEAM_FOOT
        if column + 1 + len(name) < following:
            text += name
        elif column - len(name) > _FIRST_TIME and is_free(column - len(name), column):
            first, text = column - len(name), name + _SEAM_FOOT_AT_THE_END
        marks[first : first + len(text)] = text
        is_seam[first : first + len(text)] = [True] * len(text)
    each = grid.column_seconds * grid.shade.shape[1] / width
    step = next((t for t in _TIME_STEPS if t >= _TIME_ROOM * each), _TIME_STEPS[-1])
    for number in range(math.ceil(grid.begin / step), int(end / step) + 1):
        column = round((number * step - grid.begin) / each)
        name = clock(number * step)
        if is_free(column, column + len(name)):
            marks[column : column + len(name)] = name
    cells = [Cell(text=" " * LABEL_COLUMNS)] + [
        Cell(text=mark, colour=SEAM_COLOUR if has_colour and seam else None)
        for mark, seam in zip(marks, is_seam, strict=True)
    ]
    line = joined(cells)
    return (*line[:-1], Cell(text=line[-1].text.rstrip(), colour=line[-1].colour))
