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
_MODULATION, _EXPRESSION = 1, 11
_BANK_SELECT = (0, 32)
RESET: Final = 121
"""The message by which a channel's controllers, bend and pressure go to rest."""
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


def is_reset(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows put a channel's controllers to rest."""
    is_control = events["status"] >> 4 == CONTROL_CHANGE
    return np.asarray(is_control & (events["data1"] == RESET))


def plays_on(events: npt.NDArray[np.void], channels: Iterable[int]) -> npt.NDArray[np.bool_]:
    """Which rows are of one of the channels, in whatever track: an instrument hears no tracks."""
    return np.isin(events["status"] & 0x0F, list(channels))


def stays(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows set what stands until it is set again."""
    kind = events["status"] >> 4
    is_controller = (kind == CONTROL_CHANGE) & (events["data1"] < _FIRST_CHANNEL_MODE)
    return np.asarray(is_controller | np.isin(kind, (PROGRAM_CHANGE, _PRESSURE, _BEND)))


def standing(events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The rows of `events`, in their order, by which stands what they set in the end."""
    events = events[stays(events) & ~_is_undone(events)]
    is_parameter = np.isin(events["data1"], _PARAMETERS) & (events["status"] >> 4 == CONTROL_CHANGE)
    latest = len(events) - 1 - np.unique(control_of(events)[::-1], return_index=True)[1]
    is_kept = is_parameter
    is_kept[latest] = True
    is_kept[_banks_of_programs(events)] = True
    return _order_kept(events[is_kept])


def _order_kept(events: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The same, with what has to stay in order in one track, should all be set at one tick."""
    kind, channel = events["status"] >> 4, events["status"] & 0x0F
    is_control = kind == CONTROL_CHANGE
    is_sound = (kind == PROGRAM_CHANGE) | (is_control & np.isin(events["data1"], _BANK_SELECT))
    is_parameter = is_control & np.isin(events["data1"], _PARAMETERS)
    events = events.copy()
    for is_group in (is_sound, is_parameter):
        for number in np.unique(channel[is_group]):
            rows = np.flatnonzero(is_group & (channel == number))
            events["track"][rows] = events["track"][rows[-1]]
    return events


def _is_undone(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which rows a later "reset all controllers" of their channel undoes."""
    kind, channel = events["status"] >> 4, events["status"] & 0x0F
    is_control = kind == CONTROL_CHANGE
    is_resettable = (
        bends(events) | is_pedal(events) | (is_control & (events["data1"] == _EXPRESSION))
    )
    is_undone = np.zeros(len(events), dtype=np.bool_)
    resets = np.flatnonzero(is_reset(events))
    for number in np.unique(channel[resets]):
        last = resets[channel[resets] == number][-1]
        is_undone[:last] |= is_resettable[:last] & (channel[:last] == number)
    return is_undone


def _banks_of_programs(events: npt.NDArray[np.void]) -> list[int]:
    """Rows of the banks that the last program of each channel was chosen from."""
    rows: list[int] = []
    kind, channel = events["status"] >> 4, events["status"] & 0x0F
    for number in np.unique(channel):
        programs = np.flatnonzero((kind == PROGRAM_CHANGE) & (channel == number))
        for bank in _BANK_SELECT if len(programs) else ():
            is_it = (kind == CONTROL_CHANGE) & (channel == number) & (events["data1"] == bank)
            rows += np.flatnonzero(is_it[: programs[-1]])[-1:].tolist()
    return rows


def control_of(events: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """A number for what each row sets: kind, channel and, of a controller, which one."""
    is_controller = events["status"] >> 4 == CONTROL_CHANGE
    number = np.where(is_controller, events["data1"], 0).astype(np.int64)
    return events["status"].astype(np.int64) << 8 | number


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
