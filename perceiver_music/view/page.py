"""One HTML file that shows a roll, plays it, and needs nothing else: no network, no other file.

The page carries its style, its script, the notes, and the sound as base64. Its content security
policy forbids it to load anything. Of the piece an overview is drawn in SVG, one `rect` of the
class `note` for each, so that the picture is there without JavaScript and on paper.
"""

from __future__ import annotations

import base64
import json
import re
from html import escape
from pathlib import Path

import numpy as np

from perceiver_music import __version__
from perceiver_music.music.moments import clock
from perceiver_music.view.palette import DARK, LIGHT, STEPS, Palette, oklch, shade_number
from perceiver_music.view.roll import INFILLED, Roll

_FOLDER = Path(__file__).parent
_OVERVIEW_UNITS = 4000


def as_page(roll: Roll, *, sound: bytes | None, sound_type: str = "audio/mpeg") -> bytes:
    """The whole file.

    Args:
        roll: what it shows.
        sound: an audio file whose first frame is the music's first moment; None for a silent page.
        sound_type: its MIME type.
    """
    parts = {
        "version": __version__,
        "title": escape(_printable(roll.title)),
        "facts": "".join(f"<span>{escape(_printable(fact))}</span>" for fact in roll.facts),
        "description": escape(_printable(roll.description()), quote=True),
        "part": "both" if _has_seam(roll) else "all",
        "mute": "Only the new music" if roll.words is INFILLED else f"Mute {roll.words.rest}",
        "rest": roll.words.rest,
        "next": roll.words.next,
        "seconds": str(round(roll.seconds)),
        "length": clock(roll.seconds),
        "legend": _legend(roll),
        "overview": _overview(roll),
        "music": _as_json(roll),
        "style": _style(),
        "sound_type": sound_type,
        "sound": "" if sound is None else base64.b64encode(sound).decode("ascii"),
        "script": "\n".join(_text(name) for name in ("page_roll.js", "page_player.js")),
    }
    return _filled(_text("page.html"), parts).encode("utf-8")


def _has_seam(roll: Roll) -> bool:
    """Whether there is new music and other music to hear."""
    return roll.has_both and bool(roll.is_new.any())


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _filled(template: str, parts: dict[str, str]) -> str:
    """The template with its fields, in one pass: what is put in is never looked through again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda field: parts[field[1]], template)


def _as_json(roll: Roll) -> str:
    """The notes in columns: onsets as steps from one to the next, in milliseconds."""
    order = np.argsort(roll.start, kind="stable")
    start = np.rint(roll.start[order] * 1000).astype(int)
    length = np.maximum(1, np.rint(roll.end[order] * 1000).astype(int) - start)
    low, high = roll.pitch_range
    music = {
        "seconds": round(roll.seconds, 3),
        "low": low,
        "high": high,
        "shades": STEPS,
        "new": [[round(begin, 3), round(end, 3)] for begin, end in roll.new],
        "words": {"old": roll.words.old, "new": roll.words.new, "rest": roll.words.rest},
        "seams": [[round(moment, 3), name] for moment, name in roll.seams()],
        "gap": np.diff(start, prepend=0).tolist(),
        "length": length.tolist(),
        "pitch": roll.pitch[order].tolist(),
        "shade": [shade_number(velocity) for velocity in roll.velocity[order].tolist()],
        "isNew": "".join("1" if new else "0" for new in roll.is_new[order].tolist()),
        "pedal": [
            [round(begin, 2), round(end, 2), round(depth, 2)]
            for begin, end, depth in roll.pedal_spans()
        ],
    }
    return json.dumps(music, separators=(",", ":"))


def _overview(roll: Roll) -> str:
    """All notes in one picture that is as wide as the page."""
    low, high = roll.pitch_range
    rows = [
        f'<svg viewBox="0 0 {_OVERVIEW_UNITS} {high - low + 1}" preserveAspectRatio="none" '
        'aria-hidden="true" focusable="false">'
    ]
    per_second = _OVERVIEW_UNITS / roll.seconds
    columns = (roll.start, roll.end, roll.pitch, roll.velocity, roll.is_new)
    for start, end, pitch, velocity, is_new in zip(*(c.tolist() for c in columns), strict=True):
        width = max(3.0, (end - start) * per_second)
        shade = f"{'n' if is_new else 'p'}{shade_number(velocity)}"
        rows.append(
            f'<rect class="note {shade}" x="{start * per_second:.1f}" y="{high - pitch - 0.3:.1f}" '
            f'width="{width:.1f}" height="1.6"/>'
        )
    return "".join([*rows, "</svg>"])


def _legend(roll: Roll) -> str:
    ramps = [(roll.words.old, "p"), (roll.words.new, "n")]
    if not _has_seam(roll):
        ramps = [("soft to loud", "n" if bool(roll.is_new.all()) else "p")]
    spans = [
        f'<span><i style="background:linear-gradient(90deg,var(--{ramp}0),'
        f'var(--{ramp}{STEPS // 2}),var(--{ramp}{STEPS - 1}))"></i>{name}</span>'
        for name, ramp in ramps
    ]
    if len(ramps) > 1:
        spans.append('<span class="strength">louder notes stand out more</span>')
    if roll.has_pedal:
        spans.append('<span><i class="pedal"></i>pedal</span>')
    return "".join(spans)


def _style() -> str:
    shades = "\n".join(
        f".{ramp}{step} {{ fill: var(--{ramp}{step}); }}" for ramp in "pn" for step in range(STEPS)
    )
    light = _variables(
        LIGHT,
        {
            "ground": "#f4f0e7",
            "accent": "#a8442a",
            "on-accent": "#ffffff",
            "focus": oklch(0.58, 0.16, 255),
            "veil": "rgb(40 30 10 / .06)",
            "hot-primer": oklch(0.55, 0.19, 258),
            "hot-new": oklch(0.62, 0.22, 36),
            "white-key": "#fffefb",
            "black-key": "#35322d",
        },
    )
    dark = _variables(
        DARK,
        {
            "ground": "#0e1014",
            "accent": "#f08a5d",
            "on-accent": "#1a100a",
            "focus": oklch(0.78, 0.12, 240),
            "veil": "rgb(255 255 255 / .08)",
            "hot-primer": oklch(0.90, 0.10, 215),
            "hot-new": oklch(0.90, 0.15, 85),
            "white-key": "#d6d2c8",
            "black-key": "#1b1d22",
        },
    )
    return _filled(_text("page.css"), {"light": light, "dark": dark, "shades": shades})


def _variables(palette: Palette, extras: dict[str, str]) -> str:
    names = ("paper", "ink", "faint", "line", "octave", "black", "pedal", "seam")
    values = {name: getattr(palette, name) for name in names}
    values |= {"new-ground": palette.new_ground, "new-black": palette.new_black, **extras}
    values |= {f"p{step}": colour for step, colour in enumerate(palette.primer)}
    values |= {f"n{step}": colour for step, colour in enumerate(palette.new)}
    return "\n".join(f"  --{name}: {value};" for name, value in values.items())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
