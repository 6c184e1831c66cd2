"""A roll laid out for paper: systems one under another, as in a score."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perceiver_music.music.moments import clock
from perceiver_music.view.palette import LIGHT, STEPS, Palette
from perceiver_music.view.picture_layout import (
    BETWEEN_FACTS,
    FACTS_SIZE,
    LEFT,
    PEDAL_GAP,
    PEDAL_HEIGHT,
    PITCH_HEIGHT,
    RAMP_GAP,
    RAMP_STEP,
    RULER,
    SYSTEM_GAP,
    Layout,
    legend_width,
    title_size,
)
from perceiver_music.view.roll import Roll, is_black, pitch_name
from perceiver_music.view.shapes import Box, Drawing, Label, Rule, Shape

_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)
_TICK_ROOM = 90.0
_LEAST_NOTE_WIDTH = 1.6
_SEAM_LETTER_WIDTH = 8.0


def piano_roll(roll: Roll, palette: Palette = LIGHT) -> Drawing:
    """The picture of a roll: one box a note, and one more for each system it reaches into."""
    layout = Layout.of(roll)
    shapes: list[Shape] = list(_header(roll, layout, palette))
    for system in range(layout.num_systems):
        shapes += _ground(roll, layout, system, palette)
    shapes += _notes(roll, layout, palette)
    shapes += _pedal(roll, layout, palette)
    shapes += _seams(roll, layout, palette)
    return Drawing(
        width=layout.width,
        height=round(layout.height, 1),
        title=roll.title,
        description=roll.description(),
        paper=palette.paper,
        shapes=tuple(shapes),
    )


def _header(roll: Roll, layout: Layout, palette: Palette) -> Iterator[Shape]:
    yield Label(
        x=LEFT,
        y=50,
        text=roll.title,
        size=title_size(roll, layout),
        colour=palette.ink,
    )
    facts = BETWEEN_FACTS.join(roll.facts)
    yield Label(x=LEFT, y=80, text=facts, size=FACTS_SIZE, colour=palette.faint)
    ramps = [(roll.words.old, palette.primer), (roll.words.new, palette.new)]
    if not roll.has_both:
        ramps = [("soft to loud", palette.new if roll.new else palette.primer)]
    x = layout.right - legend_width(roll)
    for name, ramp in ramps:
        for step, colour in enumerate(ramp):
            # A hair wider, so that neighbours meet without a gap; the last ends with the roll.
            width = RAMP_STEP + (0.2 if step < STEPS - 1 else 0.0)
            yield Box(x=x + RAMP_STEP * step, y=38, width=width, height=12, fill=colour)
        yield Label(x=x, y=70, text=name, size=14, colour=palette.faint)
        x += RAMP_STEP * STEPS + RAMP_GAP


def _ground(roll: Roll, layout: Layout, system: int, palette: Palette) -> Iterator[Shape]:
    begin, end = layout.span(system)
    top, width = layout.top(system), (end - begin) * layout.per_second
    grounds = [(LEFT, width, palette.paper, palette.black)]
    if roll.has_both:
        grounds += [
            (x, extent, palette.new_ground, palette.new_black)
            for stretch in roll.new
            for place, x, extent in layout.pieces(*stretch)
            if place == system and extent > 0
        ]
    for x, extent, ground, black in grounds:
        yield Box(x=x, y=top, width=extent, height=layout.roll_height, fill=ground)
        for pitch in filter(is_black, range(layout.low, layout.high + 1)):
            y = layout.y(system, pitch)
            yield Box(x=x, y=y, width=extent, height=PITCH_HEIGHT, fill=black)
    for pitch in range(layout.low, layout.high + 1):
        if pitch % 12 == 0:
            y = layout.y(system, pitch) + PITCH_HEIGHT
            yield Rule(x1=LEFT, y1=y, x2=LEFT + width, y2=y, colour=palette.octave)
            yield Label(
                x=LEFT - 10,
                y=y + 1,
                text=pitch_name(pitch),
                size=14,
                colour=palette.faint,
                anchor="end",
            )
    yield from _ticks(layout, system, palette)


def _ticks(layout: Layout, system: int, palette: Palette) -> Iterator[Shape]:
    begin, end = layout.span(system)
    top = layout.top(system)
    bottom = top + layout.system_height - RULER - SYSTEM_GAP
    step = next((t for t in _TICKS if t * layout.per_second >= _TICK_ROOM), _TICKS[-1])
    second = math.ceil(begin / step) * step
    while second <= end + 1e-9:
        x = LEFT + (second - begin) * layout.per_second
        yield Rule(x1=x, y1=top, x2=x, y2=bottom, colour=palette.line)
        yield Label(
            x=x, y=bottom + 18, text=clock(second), size=14, colour=palette.faint, anchor="middle"
        )
        second += step


def _notes(roll: Roll, layout: Layout, palette: Palette) -> Iterator[Shape]:
    columns = (roll.start, roll.end, roll.pitch, roll.velocity, roll.is_new)
    for start, end, pitch, velocity, is_new in zip(*(c.tolist() for c in columns), strict=True):
        colour = palette.shade(velocity, is_new=is_new)
        kind = "note new" if is_new else "note"
        for number, (system, x, width) in enumerate(layout.pieces(start, end)):
            yield Box(
                x=x,
                y=layout.y(system, pitch) + 0.3,
                width=max(_LEAST_NOTE_WIDTH, width - 0.4),
                height=PITCH_HEIGHT - 0.6,
                fill=colour,
                radius=1.2,
                kind="rest of a note" if number else kind,
            )


def _pedal(roll: Roll, layout: Layout, palette: Palette) -> Iterator[Shape]:
    if not layout.has_pedal:
        return
    for system in range(layout.num_systems):
        y = layout.top(system) + layout.roll_height + PEDAL_GAP + PEDAL_HEIGHT
        begin, end = layout.span(system)
        right = LEFT + (end - begin) * layout.per_second
        yield Rule(x1=LEFT, y1=y, x2=right, y2=y, colour=palette.octave)
        yield Label(x=LEFT - 10, y=y, text="Ped.", size=14, colour=palette.faint, anchor="end")
    for begin, end, depth in roll.pedal_spans():
        for system, x, width in layout.pieces(begin, end):
            base = layout.top(system) + layout.roll_height + PEDAL_GAP + PEDAL_HEIGHT
            height = depth * PEDAL_HEIGHT
            # A hair wider, so that neighbours meet without a gap.
            yield Box(
                x=x,
                y=base - height,
                width=width + 0.15,
                height=height,
                fill=palette.pedal,
                kind="pedal",
            )


def _seams(roll: Roll, layout: Layout, palette: Palette) -> Iterator[Shape]:
    """A line at each seam, and its name where the one before leaves room."""
    taken_until: dict[int, float] = {}
    for second, name in roll.seams():
        system, x, _ = next(layout.pieces(second, second + 1e-6))
        top = layout.top(system)
        yield Rule(
            x1=x, y1=top - 14, x2=x, y2=top + layout.roll_height, colour=palette.seam, width=2
        )
        if x < taken_until.get(system, 0.0):
            continue
        taken_until[system] = x + _SEAM_LETTER_WIDTH * (len(name) + 2)
        room = layout.right - x
        yield Label(
            x=x + (6 if room > 140 else -6),
            y=top - 4,
            text=name,
            size=15,
            colour=palette.seam,
            anchor="start" if room > 140 else "end",
        )
