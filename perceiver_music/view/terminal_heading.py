"""What stands over a roll in the terminal: title, facts, and which notes are new."""

from __future__ import annotations

from perceiver_music.view.roll import Roll, text_width
from perceiver_music.view.terminal_cells import DOTTED, SOLID, Cell, Line, shade_colour

_BETWEEN = "  ·  "
_LEGEND_SHADE = 11


def heading(roll: Roll, *, columns: int, most_lines: int, has_colour: bool) -> list[Line]:
    """One line where all has room in it; else the title has its own, and the facts wrap.

    Where they want more than `most_lines`, the last facts are left out: they matter least.
    """
    legend = _legend(roll, has_colour)
    for kept in range(len(roll.facts), -1, -1):
        lines = _wrapped(roll.title, roll.facts[:kept], legend, columns)
        if len(lines) <= most_lines:
            break
    return lines


def _legend(roll: Roll, has_colour: bool) -> Line:
    """A sample of each kind of note and its name; empty when there is one kind alone."""
    if not roll.has_both:
        return ()
    samples = [
        Cell(text="■ ", colour=shade_colour(_LEGEND_SHADE, is_new=is_new))
        if has_colour
        else Cell(text=f"{(SOLID if is_new else DOTTED) * 2} ")
        for is_new in (False, True)
    ]
    return (samples[0], Cell(text=f"{roll.words.old}  "), samples[1], Cell(text=roll.words.new))


def _wrapped(title: str, facts: tuple[str, ...], legend: Line, columns: int) -> list[Line]:
    pieces: list[Line] = [(Cell(text=fact),) for fact in facts]
    pieces += [legend] if legend else []
    first: Line = (Cell(text=_cut(title, columns - 1)),)
    whole = _on_one_line([first, *pieces])
    if _width(whole) < columns:
        return [whole]
    lines, row = [first], pieces[:1]
    for piece in pieces[1:]:
        if _width(_on_one_line([*row, piece])) < columns:
            row.append(piece)
        else:
            lines.append(_on_one_line(row))
            row = [piece]
    return [*lines, _on_one_line(row)] if row else lines


def _on_one_line(pieces: list[Line]) -> Line:
    cells = list(pieces[0])
    for piece in pieces[1:]:
        cells += [Cell(text=_BETWEEN), *piece]
    return tuple(cells)


def _width(line: Line) -> int:
    return sum(text_width(cell.text) for cell in line)


def _cut(text: str, room: int) -> str:
    """As much as there is room for, with a sign that there was more."""
    if text_width(text) <= room:
        return text
    while text and text_width(text) >= room:
        text = text[:-1]
    return text.rstrip() + "…"
