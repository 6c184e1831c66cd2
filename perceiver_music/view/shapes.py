"""The few shapes that a picture is made of, in units that SVG and PNG both draw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Box:
    """A filled rectangle; `kind` is its class in SVG."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    radius: float = 0.0
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A straight line, upright or level."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Label:
    """One line of text; `y` is its baseline, `anchor` is `start`, `middle` or `end`."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: str = "start"


Shape = Box | Rule | Label


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture: its size in units, what it shows in words, and its shapes from back to front."""

    width: float
    height: float
    title: str
    description: str
    paper: str
    shapes: tuple[Shape, ...]
