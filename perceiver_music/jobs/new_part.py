"""Which part of a file is new music, as the settings stored inside it say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.jobs.duet_file import DUET
from perceiver_music.music.performance import MICROSECONDS

if TYPE_CHECKING:
    from perceiver_music.music.embedded import Embedded

_NUM_CHANNELS = 16


@dataclass(frozen=True, kw_only=True)
class NewPart:
    """New music in a file, and how it was made.

    Attributes:
        from_us: where it begins.
        to_us: where it ends; None is the file's end.
        channel: the only one that it is on, from 0 as `note_ticks` counts; None is all of them.
        settings: all that was stored; empty when the user said where it is.
    """

    from_us: int
    to_us: int | None = None
    channel: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def new_part_of(midi: bytes, *, name: str) -> NewPart | None:
    """The new music of a file that this program made; None of any other, or if nobody can tell.

    Args:
        midi: the file.
        name: what messages call it.

    Raises:
        InvalidInputError: it is no MIDI file.
    """
    from perceiver_music.music.embedded import find_embedded

    embedded = find_embedded(midi, name=name)
    if embedded is None:
        return None
    try:
        settings = json.loads(embedded.settings)
    except (ValueError, RecursionError):
        return None
    if not isinstance(settings, dict):
        return None
    if settings.get("command") == DUET:
        channel = settings.get("answers_channel")
        if not isinstance(channel, int) or not 1 <= channel <= _NUM_CHANNELS:
            return None
        return NewPart(from_us=0, channel=channel - 1, settings=settings)
    between = settings.get("between_seconds")
    if isinstance(between, list) and len(between) == 2:
        begin, end = _us(between[0]), _us(between[1])
        is_gap = begin is not None and end is not None and begin < end
        return NewPart(from_us=begin or 0, to_us=end, settings=settings) if is_gap else None
    seam_us = _seam_us(settings, embedded)
    return None if seam_us is None else NewPart(from_us=seam_us, settings=settings)


def _seam_us(settings: Mapping[str, Any], embedded: Embedded) -> int | None:
    """The length of the primer's window, which lies before the new music."""
    if settings.get("primer_sha256") is None or not settings.get("include_primer", True):
        return 0
    begin, end = _us(settings.get("from_seconds")), _us(settings.get("to_seconds"))
    if settings.get("last_seconds") is None and end is not None:
        return max(0, end - (begin or 0))
    try:
        return _window_us(settings, embedded)
    except (PerceiverMusicError, TypeError):
        return None


def _window_us(settings: Mapping[str, Any], embedded: Embedded) -> int | None:
    """The same from the primer itself, which the file carries unless it was huge."""
    from perceiver_music.generation.primer import choose_window
    from perceiver_music.music.midi_file import parse_midi

    primer = embedded.primer(name="primer")
    if primer is None:
        return None
    window = choose_window(
        parse_midi(primer, name="primer").performance,
        from_seconds=settings.get("from_seconds"),
        to_seconds=settings.get("to_seconds"),
        last_seconds=settings.get("last_seconds"),
    )
    return window.to_us - window.from_us


def _us(seconds: object) -> int | None:
    if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0:
        return round(seconds * MICROSECONDS)
    return None
