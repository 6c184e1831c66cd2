"""Pictures: a box a note, systems that hold everything, files that others can read."""

import io
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array
from perceiver_music.view.fonts import runs_of
from perceiver_music.view.palette import LIGHT
from perceiver_music.view.picture import piano_roll
from perceiver_music.view.picture_layout import LEFT, MOST_SYSTEMS, RIGHT, WIDTH, Layout
from perceiver_music.view.png import SCALE, as_png
from perceiver_music.view.roll import Roll, text_width
from perceiver_music.view.shapes import Box, Drawing, Label
from perceiver_music.view.svg import as_svg

SECOND = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"


def long_roll(seconds: int, **options: object) -> Roll:
    start = np.arange(0, seconds * SECOND, SECOND // 2)
    notes = note_array(
        start, start + 2 * SECOND, 40 + np.arange(len(start)) % 40, [64] * len(start)
    )
    return Roll.of(Performance(notes=notes), title="x", **options)  # type: ignore[arg-type]


def boxes(drawing: Drawing, kind: str) -> list[Box]:
    return [s for s in drawing.shapes if isinstance(s, Box) and kind in s.kind.split()]


@pytest.mark.parametrize("seconds", [1, 60, 74, 80, 600, 4 * 3600])
def test_one_box_a_note_within_its_system(seconds: int) -> None:
    roll = long_roll(seconds, new_us=(seconds * SECOND // 2, None))
    drawing = piano_roll(roll)
    layout = Layout.of(roll)
    assert 1 <= layout.num_systems <= MOST_SYSTEMS
    notes = boxes(drawing, "note")
    whole = [box for box in notes if "rest" not in box.kind]
    assert len(whole) == roll.num_notes
    assert len(boxes(drawing, "new")) == roll.is_new.sum()
    for box in notes:
        assert box.x >= LEFT - 0.01
        assert box.x + box.width <= drawing.width - RIGHT + 2
        assert box.y >= 0
        assert box.y + box.height <= drawing.height


def test_a_note_over_the_end_of_a_system_goes_on_in_the_next() -> None:
    roll = long_roll(80)
    layout = Layout.of(roll)
    assert (layout.num_systems, layout.system_seconds) == (2, 45.0)
    rest = boxes(piano_roll(roll), "rest")
    crossing = ((roll.start < 45) & (roll.end > 45)).sum()
    assert len(rest) == crossing > 0
    width = sum(extent for _, _, extent in layout.pieces(44, 46))
    assert width == pytest.approx(2 * layout.per_second)


def test_time_and_pitch_can_be_read(performance: Performance) -> None:
    drawing = piano_roll(Roll.of(performance, title="A title", facts=("48 notes", "0:12")))
    words = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert {"A title", "48 notes  ·  0:12", "0:05", "0:10", "C4", "C5", "Ped."} <= set(words)
    assert "new music" not in words


def test_the_seam_is_named(performance: Performance) -> None:
    drawing = piano_roll(Roll.of(performance, title="x", new_us=(5 * SECOND, 8 * SECOND)))
    words = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert {"as it was", "new music", "the file goes on"} <= set(words)
    assert "primer" not in words
    drawing = piano_roll(Roll.of(performance, title="x", new_us=(5 * SECOND, None)))
    words = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert {"primer", "new music"} <= set(words)


def test_a_duet_shows_who_plays(duet: Roll) -> None:
    drawing = piano_roll(duet)
    words = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert {"player", "answers"} <= set(words)
    assert words.count("answer") == 2
    assert "new music" not in words
    assert len(boxes(drawing, "new")) == 16
    grounds = [s for s in drawing.shapes if isinstance(s, Box) and s.fill == LIGHT.new_ground]
    assert len(grounds) == 2


def test_names_of_seams_do_not_cover_each_other() -> None:
    """A player and a machine that change with every note: many lines, few names."""
    roll = long_roll(60)
    is_answer = np.arange(roll.num_notes) % 2 == 1
    roll = long_roll(60, is_answer=is_answer)
    drawing = piano_roll(roll)
    names = [s.x for s in drawing.shapes if isinstance(s, Label) and s.text == "answer"]
    assert len(roll.new) == is_answer.sum()
    assert 10 < len(names) < len(roll.new)
    assert min(np.diff(names)) > 45


def test_svg(performance: Performance) -> None:
    roll = Roll.of(performance, title="<a & b>\x07\udc80", new_us=(6 * SECOND, None))
    root = xml.fromstring(as_svg(piano_roll(roll)))
    rects = [each.get("class", "") for each in root.iter(f"{SVG}rect")]
    assert sum("note" in name.split() for name in rects) == 48
    assert sum(name == "note new" for name in rects) == 24
    assert sum(name == "pedal" for name in rects) == 2
    title = root.find(f"{SVG}title")
    assert title is not None
    fonts = [each.get("font-family") for each in root.iter() if each.get("font-family")]
    assert fonts
    assert all(font.endswith(",sans-serif") for font in fonts if font)
    assert title.text == "<a & b>\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert root.get("role") == "img"
    assert as_svg(piano_roll(roll)) == as_svg(piano_roll(roll))


def test_png(performance: Performance) -> None:
    from PIL import Image

    drawing = piano_roll(Roll.of(performance, title="Études", new_us=(6 * SECOND, None)))
    image = Image.open(io.BytesIO(as_png(drawing)))
    assert image.size == (round(drawing.width * SCALE), round(drawing.height * SCALE))
    assert image.info["dpi"] == pytest.approx((300, 300), abs=1)
    for box in boxes(drawing, "note")[::7]:
        middle = ((box.x + box.width / 2) * SCALE, (box.y + box.height / 2) * SCALE)
        colour = image.getpixel((int(middle[0]), int(middle[1])))
        assert "#" + "".join(f"{part:02x}" for part in colour) == box.fill  # type: ignore[union-attr]


def short_roll(seconds: float, **options: Any) -> Roll:
    notes = note_array([0], [int(seconds * SECOND)], [60], [64])
    return Roll.of(Performance(notes=notes), **{"title": "One note", **options})


@pytest.mark.parametrize("seconds", [0.1, 1, 4, 9.9, 12, 37.4, 75, 76, 170])
def test_the_legend_ends_where_the_roll_does(seconds: float) -> None:
    drawing = piano_roll(short_roll(seconds))
    edge = drawing.width - RIGHT
    [*_, last] = [s for s in drawing.shapes if isinstance(s, Box) and s.fill == LIGHT.primer[-1]]
    assert last.x + last.width == pytest.approx(edge)
    rows = [s for s in drawing.shapes if isinstance(s, Box) and s.fill == LIGHT.black]
    assert max(row.x + row.width for row in rows) == pytest.approx(edge)
    assert min(row.x for row in rows) == LEFT


def test_little_music_has_a_small_sheet() -> None:
    widths = [piano_roll(short_roll(seconds)).width for seconds in (0.1, 1, 5, 9, 11, 60, 300)]
    assert widths == sorted(widths)
    assert widths[0] == widths[1] == 592
    assert widths[4:] == [WIDTH] * 3
    [note] = boxes(piano_roll(short_roll(1)), "note")
    assert note.width == pytest.approx(500, abs=1)


def test_on_a_small_sheet_the_heading_has_room() -> None:
    """The title as large as ever, and neither it nor the facts beneath the legend."""
    title = "J. S. Bach: Prelude in C major, continued"
    facts = ("176 notes", "0:01", "new from 0:00", "checkpoint maestro", "seed 7, variation 3")
    drawing = piano_roll(short_roll(1, title=title, facts=facts, new_us=(SECOND // 2, None)))
    labels = [s for s in drawing.shapes if isinstance(s, Label)]
    [name] = [label for label in labels if label.text == title]
    [line] = [label for label in labels if label.text.startswith("176 notes")]
    legend = min(s.x for s in drawing.shapes if isinstance(s, Box) and s.fill == LIGHT.primer[0])
    assert drawing.width < WIDTH
    assert name.size == 32
    for label in (name, line):
        [(font, text)] = runs_of(label.text, label.size)
        assert label.x + font.getlength(text) < legend


def test_the_pedal_is_not_taken_for_the_lowest_c() -> None:
    """Their names stand one above the other, a letter's height apart."""
    notes = note_array([0, 0], [SECOND] * 2, [38, 72], [64] * 2)
    pedal = np.array([(0, 127), (SECOND, 0)], dtype=PEDAL_DTYPE)
    drawing = piano_roll(Roll.of(Performance(notes=notes, pedal=pedal), title="x"))
    assert Roll.of(Performance(notes=notes), title="x").pitch_range[0] == 36
    base = {s.text: s.y for s in drawing.shapes if isinstance(s, Label)}
    size = {s.text: s.size for s in drawing.shapes if isinstance(s, Label)}
    assert base["Ped."] - base["C2"] > 1.5 * size["Ped."]


def test_a_title_of_wide_signs_has_room_beside_the_legend() -> None:
    notes = note_array([0], [SECOND], [60], [64])
    for title in ("x" * 120, "月" * 120, "月光ソナタ"):
        drawing = piano_roll(Roll.of(Performance(notes=notes), title=title))
        [label] = [s for s in drawing.shapes if isinstance(s, Label) and s.text == title]
        assert label.size * text_width(title) / 2 < WIDTH - LEFT - 300
        assert label.size >= 9
