"""A drawing as PNG, drawn twice as large as it is kept, so that edges are smooth."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from perceiver_music.view.shapes import Box, Drawing, Label, Rule

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SCALE = 2.0
"""Pixels a unit: 3,200 wide, which prints 27 cm at 300 dots an inch."""
_OVERSAMPLING = 2
_MOST_PIXELS = 120_000_000
_PLAIN_SIGNS = {"♯": "#", "♭": "b", "\u2013": "-", "\u2014": "-", "\u2019": "'"}
_PLAIN_LETTERS = {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
_PLAIN_LETTERS |= {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
_PLAIN = _PLAIN_SIGNS | _PLAIN_LETTERS
_NO_SIGN = "\uffff"
_WIDER_FONT = "freesansbold.ttf"
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


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
    font = _font_for(label.text, label.size * scale)
    draw.text(
        (label.x * scale, label.y * scale),
        _drawable(label.text, font),
        fill=label.colour,
        font=font,
        anchor=_ANCHORS[label.anchor],
    )


def _font_for(text: str, size: float) -> Font:
    """Pillow's own font, which has few signs but ASCII; where those do not do, pygame-ce's.

    That one is bold, and has the accents and alphabets of Europe.
    """
    from PIL import ImageFont

    own = ImageFont.load_default(size=size)
    has = _has_sign(own)
    if all(has(sign) or sign in _PLAIN_SIGNS for sign in unicodedata.normalize("NFC", text)):
        return own
    package = importlib.util.find_spec("pygame")  # found without being imported
    for folder in (package.submodule_search_locations or ()) if package else ():
        with contextlib.suppress(OSError):
            return ImageFont.truetype(os.path.join(folder, _WIDER_FONT), size)  # noqa: PTH118
    return own


def _has_sign(font: Font) -> Callable[[str], bool]:
    """Tells whether a font has a sign."""
    missing = bytes(font.getmask(_NO_SIGN))
    return lambda sign: sign.isprintable() and bytes(font.getmask(sign)) != missing


def _drawable(text: str, font: Font) -> str:
    """The text in signs that the font has: without an accent, or spelled out, what it lacks."""
    has = _has_sign(font)

    def spelled(sign: str) -> str:
        if has(sign):
            return sign
        letters = unicodedata.normalize("NFKD", _PLAIN.get(sign, sign))
        return "".join(c if has(c) else "?" for c in letters if not unicodedata.combining(c))

    return "".join(map(spelled, unicodedata.normalize("NFC", text)))
