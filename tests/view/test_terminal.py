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
    [row] = [row for row in rows[2:] if any(set(cell.text) & set("▀▄") for cell in row)]
    primer, new = [cell for cell in row if cell.colour]
    assert abs(len(primer.text) - len(new.text)) <= 1
    assert primer.colour != new.colour


def lines_of(roll: Roll, columns: int = 80, lines: int = 24) -> list[str]:
    rows = terminal_roll(roll, columns=columns, lines=lines, has_colour=False)
    return ["".join(cell.text for cell in row) for row in rows]


def test_without_colour_dots_and_a_line_tell_primer_from_new() -> None:
    """One long note of each: the first is dotted, the second a line of its own."""
    notes = note_array([0, 4 * SECOND], [4 * SECOND, 8 * SECOND], [60, 62], [64, 64])
    roll = Roll.of(Performance(notes=notes), title="x", new_us=(4 * SECOND, None))
    heading, *body, times = lines_of(roll)
    assert heading == "x  ·  ⠂⠂ primer  ⠒⠒ new music"
    [foot] = [i for i, mark in enumerate(times) if mark == "└"]
    primer, new = (
        {ord(c) - 0x2800 for row in body for c in row[part] if ord(c) > 0x2800}
        for part in (slice(5, foot), slice(foot + 1, None))
    )
    assert {bits.bit_count() for bits in primer} == {1}
    assert {bits.bit_count() for bits in new} == {2}
    assert times[foot:].startswith("└new music")
    assert all(row[foot] == "│" for row in body if ord(row[foot : foot + 1] or "0") < 0x2800)
    assert sum(row[foot : foot + 1] == "│" for row in body) >= len(body) - 2
    plain = lines_of(Roll.of(Performance(notes=notes), title="x"))
    assert not set("│└⠂") & set("".join(plain))


def test_both_ends_of_a_filled_gap_are_named(performance: Performance) -> None:
    roll = Roll.of(performance, title="x", new_us=(3 * SECOND, 6 * SECOND))
    text = "\n".join(lines_of(roll))
    assert "└new music" in text
    assert "└the file goes on" in text
    assert "⠂⠂ as it was  ⠒⠒ new music" in text
    assert "0:00" in text


def test_of_a_duet_each_answer_is_marked(duet: Roll) -> None:
    text = "\n".join(lines_of(duet))
    assert "⠂⠂ player  ⠒⠒ answers" in text
    assert text.count("└answer") == 2
    narrow = lines_of(duet, columns=24)
    assert max(map(len, narrow)) <= 24
    assert "\n".join(narrow).count("└") == 2


def test_the_heading_wraps_and_drops_what_matters_least(performance: Performance) -> None:
    facts = ("176 notes", "0:39", "new from 0:10", "checkpoint maestro", "seed 7")
    title = "J. S. Bach: Prelude in C major, BWV 846, bars 1-11"
    roll = Roll.of(performance, title=title, facts=facts, new_us=(6 * SECOND, None))
    first, second, third, *_ = lines_of(roll)
    assert first == title
    assert second == "  ·  ".join(facts)
    assert third == "⠂⠂ primer  ⠒⠒ new music"
    first, second, *_ = lines_of(roll, lines=16)
    assert first == title
    assert second == "176 notes  ·  0:39  ·  new from 0:10  ·  ⠂⠂ primer  ⠒⠒ new music"
    wide = lines_of(roll, columns=160)[0]
    assert wide.startswith(title)
    assert "seed 7" in wide
    narrow = lines_of(roll, columns=40)
    assert narrow[0].endswith("…")
    assert "new from 0:10" in narrow[1]
    assert "new music" in narrow[2]
    assert "checkpoint" not in "".join(narrow)
    assert max(map(len, narrow)) <= 40


def test_a_title_of_wide_signs_is_cut_where_the_terminal_ends(performance: Performance) -> None:
    [first, *_] = lines_of(Roll.of(performance, title="月光" * 30), columns=40)
    assert first == "月光" * 9 + "月…"
