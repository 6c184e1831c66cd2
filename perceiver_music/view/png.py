"""A drawing as PNG, drawn twice as large as it is kept, so that edges are smooth."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from perceiver_music.view.fonts import runs_of
from perceiver_music.view.shapes import Box, Drawing, Label, Rule

if TYPE_CHECKING:
    from PIL import ImageDraw

SCALE = 2.0
"""Pixels a unit: 3,200 wide, which prints 27 cm at 300 dots an inch."""
_OVERSAMPLING = 2
_MOST_PIXELS = 120_000_000
_SHARE_BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}
"""Of a label's width, what lies before its anchor."""


def as_png(drawing: Drawing) -> bytes:
    """The whole file."""
    from PIL import Image, ImageDraw

    scale = SCALE
    fine = scale * _OVERSAMPLING
    if drawing.width * drawing.height * fine * fine > _MOST_PIXELS:
        fine = scale  # a very long piece is drawn as it is kept
    image = Image.new(
        "RGB", (round(drawing.width * fine), round(drawing.height * fine)), drawing.paper
    )
    draw = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Box):
            _box(draw, shape, fine)
        elif isinstance(shape, Rule):
            _rule(draw, shape, fine)
        else:
            _label(draw, shape, fine)
    size = (round(drawing.width * scale), round(drawing.height * scale))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=False, dpi=(300, 300))
    return stream.getvalue()


def _box(draw: ImageDraw.ImageDraw, box: Box, scale: float) -> None:
    corners = (
        round(box.x * scale),
        round(box.y * scale),
        max(round(box.x * scale), round((box.x + box.width) * scale) - 1),
        max(round(box.y * scale), round((box.y + box.height) * scale) - 1),
    )
    if box.radius and corners[2] - corners[0] > 2 * box.radius * scale:
        draw.rounded_rectangle(corners, radius=box.radius * scale, fill=box.fill)
    else:
        draw.rectangle(corners, fill=box.fill)


def _rule(draw: ImageDraw.ImageDraw, rule: Rule, scale: float) -> None:
    ends = [round(value * scale) for value in (rule.x1, rule.y1, rule.x2, rule.y2)]
    draw.line(ends, fill=rule.colour, width=max(1, round(rule.width * scale)))


def _label(draw: ImageDraw.ImageDraw, label: Label, scale: float) -> None:
    runs = runs_of(label.text, label.size * scale)
    widths = [font.getlength(text) for font, text in runs]
    x = label.x * scale - _SHARE_BEFORE[label.anchor] * sum(widths)
    for (font, text), width in zip(runs, widths, strict=True):
        draw.text((x, label.y * scale), text, fill=label.colour, font=font, anchor="ls")
        x += width
