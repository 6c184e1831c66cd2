"""Which part of a file is new music, as the settings stored inside it say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.jobs.duet_file import DUET
from perceiver_music.music.moments import MAX_MUSIC_SECONDS
from perceiver_music.music.performance import MICROSECONDS

if TYPE_CHECKING:
    from perceiver_music.music.embedded import Embedded
    from perceiver_music.music.midi_file import MidiFile
    from perceiver_music.music.tempo_map import TempoMap

_NUM_CHANNELS = 16
_WINDOW = ("from_seconds", "to_seconds", "last_seconds")


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


def new_part_of(data: bytes, midi: MidiFile, *, name: str) -> NewPart | None:
    """The new music of a file that this program made; None of any other, or if nobody can tell.

    Args:
        data: the file.
        midi: the same, read.
        name: what messages call it.

    Raises:
        InvalidInputError: it is no MIDI file.
    """
    from perceiver_music.music.embedded import find_embedded

    embedded = find_embedded(data, name=name)
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
        return _gap(between, midi.tempo_map, settings)
    begins_us = _seam_us(settings, embedded, midi.tempo_map)
    return None if begins_us is None else NewPart(from_us=begins_us, settings=settings)


def _gap(
    between: Sequence[object], tempo_map: TempoMap, settings: Mapping[str, Any]
) -> NewPart | None:
    """A gap, from the tick on that is nearest to its first moment: new notes begin on ticks."""
    begin, end = _us(between[0]), _us(between[1])
    if begin is None or end is None or begin >= end:
        return None
    first_tick = min(int(tempo_map.us_to_ticks(begin)), tempo_map.last_tick)
    from_us = int(tempo_map.ticks_to_us(first_tick))
    return NewPart(from_us=from_us, to_us=end, settings=settings)


def _seam_us(settings: Mapping[str, Any], embedded: Embedded, tempo_map: TempoMap) -> int | None:
    """Where the primer's window ends in the file, and the new music begins."""
    if settings.get("primer_sha256") is None or not settings.get("include_primer", True):
        return 0
    try:
        primer = embedded.primer(name="primer")
        if primer is not None:
            return _seam_after(primer, settings, tempo_map)
    except PerceiverMusicError:
        return None
    begin, end = _us(settings.get("from_seconds")), _us(settings.get("to_seconds"))
    if settings.get("last_seconds") is None and end is not None:
        return max(0, end - (begin or 0))
    return None


def _seam_after(primer: bytes, settings: Mapping[str, Any], tempo_map: TempoMap) -> int | None:
    """The same from the primer itself, which the file carries unless it was huge."""
    from perceiver_music.generation.primer import choose_window
    from perceiver_music.music.midi_file import parse_midi
    from perceiver_music.music.midi_window import seam_us

    words = {name: settings.get(name) for name in _WINDOW}
    if any(value is not None and _us(value) is None for value in words.values()):
        return None
    read = parse_midi(primer, name="primer")
    window = choose_window(read.performance, **words)
    return seam_us(read.tempo_map, tempo_map, from_us=window.from_us, to_us=window.to_us)


def _us(seconds: object) -> int | None:
    if isinstance(seconds, int | float) and 0 <= seconds <= MAX_MUSIC_SECONDS:
        return round(seconds * MICROSECONDS)
    return None
