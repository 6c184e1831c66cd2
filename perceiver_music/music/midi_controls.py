"""What channel events set, and how they are copied from one MIDI file to another.

A controller, an instrument (program), a bend and a channel's pressure stand until they are set
again; the pressure of a single key and the messages that change a channel's mode happen once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.piano_part import CONTROL_CHANGE, PROGRAM_CHANGE, SUSTAIN_PEDAL

PEDALS: Final = (SUSTAIN_PEDAL, 66, 67, 69)
"""Controllers that are a pedal which must come up again."""

_PRESSURE, _BEND = 0xD, 0xE
_MODULATION = 1
VOLUMES: Final = (7, 11)
"""Controllers that make a channel louder and softer."""
_FIRST_CHANNEL_MODE = 120
_PARAMETERS: Final = (6, 38, *range(96, 102))
"""Controllers that name a parameter and set it: each means what the ones before it say."""


def is_pedal(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows of a `CHANNEL_EVENT_DTYPE` table move a pedal."""
    is_control = events["status"] >> 4 == CONTROL_CHANGE
    return np.asarray(is_control & np.isin(events["data1"], PEDALS))


def bends(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows change the sound of keys that are down: bends, pressure, modulation."""
    kind = events["status"] >> 4
    is_modulation = (kind == CONTROL_CHANGE) & (events["data1"] == _MODULATION)
    return np.asarray(np.isin(kind, (_PRESSURE, _BEND)) | is_modulation)


def plays_at(
    events: npt.NDArray[np.void], places: Iterable[tuple[int, int]]
) -> npt.NDArray[np.bool_]:
    """Which rows are of one of the (track, channel) pairs."""
    is_it = np.zeros(len(events), dtype=np.bool_)
    for track, channel in places:
        is_it |= (events["track"] == track) & (events["status"] & 0x0F == channel)
    return is_it


def stays(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows set what stands until it is set again."""
    kind = events["status"] >> 4
    is_controller = (kind == CONTROL_CHANGE) & (events["data1"] < _FIRST_CHANNEL_MODE)
    return np.asarray(is_controller | np.isin(kind, (PROGRAM_CHANGE, _PRESSURE, _BEND)))


def standing(events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The rows of `events`, in their order, by which stands what they set in the end."""
    events = events[stays(events)]
    is_parameter = np.isin(events["data1"], _PARAMETERS) & (events["status"] >> 4 == CONTROL_CHANGE)
    latest = len(events) - 1 - np.unique(control_of(events)[::-1], return_index=True)[1]
    is_kept = is_parameter
    is_kept[latest] = True
    return np.asarray(events[is_kept])


def control_of(events: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """A number for what each row sets: track, status and, of a controller, which one."""
    is_controller = events["status"] >> 4 == CONTROL_CHANGE
    number = np.where(is_controller, events["data1"], 0).astype(np.int64)
    return events["track"].astype(np.int64) << 16 | events["status"].astype(np.int64) << 8 | number


def add_events(
    tracks: Tracks, events: npt.NDArray[np.void], ticks: npt.NDArray[np.int64] | int
) -> None:
    """Add rows as they are, at one tick or each at its own."""
    for tick, row in zip(
        np.broadcast_to(ticks, len(events)).tolist(), events.tolist(), strict=True
    ):
        _, _, track, status, data1, data2 = row
        tracks.event(tick, status, data1, data2, track=track)


def moved(events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The rows of pedals, bends and the like that leave them not at rest."""
    rest = at_rest(events)
    # The second byte of pressure is none of its own.
    is_second = (events["data2"] != rest["data2"]) & (events["status"] >> 4 != _PRESSURE)
    return np.asarray(events[(events["data1"] != rest["data1"]) | is_second])


def at_rest(events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Rows of pedals, bends and the like that set the same to rest."""
    rest = events.copy()
    kind = events["status"] >> 4
    rest["data1"][kind == _PRESSURE] = 0
    rest["data1"][kind == _BEND] = 0
    rest["data2"] = np.where(kind == _BEND, 64, 0)
    return rest
