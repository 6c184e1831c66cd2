"""A drawing as SVG: text that a person can read and a program can count."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from perceiver_music.view.shapes import Box, Drawing, Label, Rule, Shape

_FONT = "'Avenir Next',Avenir,'Segoe UI','Helvetica Neue',Helvetica,Arial,sans-serif"


def as_svg(drawing: Drawing) -> bytes:
    """The whole file; every note is one `rect` of the class `note`."""
    size = f"{_number(drawing.width)} {_number(drawing.height)}"
    rows = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'width="{_number(drawing.width)}" height="{_number(drawing.height)}" role="img" '
        'aria-labelledby="title description" font-variant-numeric="tabular-nums" '
        f'font-family="{_FONT}">',
        f'<title id="title">{_text(drawing.title)}</title>',
        f'<desc id="description">{_text(drawing.description)}</desc>',
        f'<rect width="100%" height="100%" fill="{drawing.paper}"/>',
        *(_element(shape) for shape in drawing.shapes),
        "</svg>",
    ]
    return ("\n".join(rows) + "\n").encode("utf-8")


def _element(shape: Shape) -> str:
    if isinstance(shape, Box):
        extras = f' rx="{_number(shape.radius)}"' if shape.radius else ""
        name = f" class={quoteattr(shape.kind)}" if shape.kind else ""
        return (
            f'<rect{name} x="{_number(shape.x)}" y="{_number(shape.y)}" '
            f'width="{_number(shape.width)}" height="{_number(shape.height)}" '
            f'fill="{shape.fill}"{extras}/>'
        )
    if isinstance(shape, Rule):
        return (
            f'<path d="M{_number(shape.x1)} {_number(shape.y1)}'
            f'L{_number(shape.x2)} {_number(shape.y2)}" '
            f'stroke="{shape.colour}" stroke-width="{_number(shape.width)}"/>'
        )
    return _label(shape)


def _label(label: Label) -> str:
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    return (
        f'<text x="{_number(label.x)}" y="{_number(label.y)}" font-size="{_number(label.size)}" '
        f'fill="{label.colour}"{anchor}>{_text(label.text)}</text>'
    )


def _text(text: str) -> str:
    """What XML can carry: no control characters, no halves of characters."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
