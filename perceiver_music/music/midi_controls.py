"""Controllers of a MIDI file, as they are copied from one to another."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from perceiver_music.music.midi_file import SUSTAIN_PEDAL
from perceiver_music.music.midi_track import Tracks

PEDALS: Final = (SUSTAIN_PEDAL, 66, 67, 69)
"""Controllers that are a pedal which must come up again."""

_BANK_SELECT = (0, 32)
_FIRST_CHANNEL_MODE = 120


class Control(NamedTuple):
    """A controller of a channel, as a track sets it."""

    track: int
    channel: int
    number: int


def control_of(row: Any) -> Control:
    """Which one a row of `MidiFile.controls` sets."""
    return Control(int(row["track"]), int(row["channel"]), int(row["number"]))


def set_control(tracks: Tracks, tick: int, control: Control, value: int) -> None:
    """Add a change of it."""
    tracks.control(tick, value=value, **control._asdict())


def is_copied_control(number: int) -> bool:
    """Whether a controller belongs to the playing: neither a choice of sound nor a mode."""
    return number < _FIRST_CHANNEL_MODE and number not in _BANK_SELECT
