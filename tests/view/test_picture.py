"""Pictures: a box a note, systems that hold everything, files that others can read."""

import io
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from perceiver_music.music.performance import Performance, note_array
from perceiver_music.view.palette import LIGHT
from perceiver_music.view.picture import LEFT, MOST_SYSTEMS, RIGHT, WIDTH, Layout, piano_roll
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
        assert box.x + box.width <= WIDTH - RIGHT + 2
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
    assert {"primer", "new music", "the file goes on"} <= set(words)


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


def test_a_title_of_wide_signs_has_room_beside_the_legend() -> None:
    notes = note_array([0], [SECOND], [60], [64])
    for title in ("x" * 120, "月" * 120, "月光ソナタ"):
        drawing = piano_roll(Roll.of(Performance(notes=notes), title=title))
        [label] = [s for s in drawing.shapes if isinstance(s, Label) and s.is_title]
        assert label.size * text_width(title) / 2 < WIDTH - LEFT - 300
        assert label.size >= 9
