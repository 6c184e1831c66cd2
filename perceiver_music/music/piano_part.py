"""The piano in a table of channel events, and what else the table holds.

Notes are paired within their track and channel, as note-seq does it; drums (channel 10) are no
part of the piano. One piano has one sustain pedal: each channel's controller 64 holds from its last
value, and of several channels the lowest pedal counts; but a channel whose pedal goes down for
good is left out where that of another comes up, and after the last key where another does so there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceiver_music.music.note_pairing import Pairs, pair_notes
from perceiver_music.music.performance import PEDAL_DTYPE, Performance, note_array
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE
from perceiver_music.music.tempo_map import TempoMap

SUSTAIN_PEDAL = 64
"""The controller number of the sustain pedal."""

DRUM_CHANNEL = 9

NO_RELEASE_VELOCITY = 64
"""How fast a key is let go where nobody says."""

CONTROL_CHANGE, PROGRAM_CHANGE = 0xB, 0xC
"""Kinds of channel events: the upper half of the status byte."""

CHANNEL_EVENT_DTYPE = np.dtype(
    [
        ("tick", "<i8"),
        ("time_us", "<i8"),
        ("track", "<i4"),
        ("status", "u1"),
        ("data1", "u1"),
        ("data2", "u1"),
    ]
)
_IN_TICKS = [
    ("start_tick", "<i8"),
    ("end_tick", "<i8"),
    ("track", "<i4"),
    ("channel", "u1"),
    ("release", "u1"),
]
NOTE_TICK_DTYPE = np.dtype([*_IN_TICKS, ("off_tick", "<i8")])
DRUM_DTYPE = np.dtype([*_IN_TICKS, ("start_us", "<i8"), ("pitch", "u1"), ("velocity", "u1")])

_NOTE_OFF, _NOTE_ON = 0x8, 0x9


@dataclass(frozen=True, kw_only=True)
class PianoPart:
    """A table of channel events, taken apart.

    Attributes:
        performance: the piano's notes and sustain pedal.
        note_ticks: `NOTE_TICK_DTYPE`, the note of the same row of `performance.notes` in ticks,
            how fast its key is let go, and where the note-off stands that is its own: later than
            its end, where another note of the key that overlaps it is let go first.
        drums: `DRUM_DTYPE`, in order of time.
        others: `CHANNEL_EVENT_DTYPE`, all that is no note, in order of time.
    """

    performance: Performance
    note_ticks: npt.NDArray[np.void]
    drums: npt.NDArray[np.void]
    others: npt.NDArray[np.void]


def piano_part(events: npt.NDArray[np.void], tempo_map: TempoMap, warnings: list[str]) -> PianoPart:
    """Take apart the channel events of a file; `warnings` get what is left out or looks odd."""
    status = np.ascontiguousarray(events["status"])
    kind = status >> 4
    is_note = (kind == _NOTE_OFF) | (kind == _NOTE_ON)
    is_drum = (status & 0x0F) == DRUM_CHANNEL
    if bool((is_drum & (kind == _NOTE_ON)).any()):
        warnings.append("drums (channel 10) are no part of the piano")
    pairs = _pairs(events, np.flatnonzero(is_note & ~is_drum))
    if pairs.unfinished:
        never_end = "note never ends and is" if pairs.unfinished == 1 else "notes never end and are"
        warnings.append(f"{pairs.unfinished} {never_end} left out")
    if pairs.without_length:
        one = pairs.without_length == 1
        no_length = "note has no length and is" if one else "notes have no length and are"
        warnings.append(f"{pairs.without_length} {no_length} left out")
    # In order of (start, pitch); each track is in order of time, so most of the work is done.
    start_us = tempo_map.ticks_to_us(events["tick"][pairs.on])
    order = np.argsort(start_us << 7 | events["data1"][pairs.on], kind="stable")
    on, off, own_off = pairs.on[order], pairs.off[order], pairs.own_off[order]
    notes = note_array(
        start_us[order],
        tempo_map.ticks_to_us(events["tick"][off]),
        events["data1"][on],
        events["data2"][on],
    )
    others = _others(events, np.flatnonzero(~is_note), tempo_map)
    moves = _pedal_moves(controls_among(others), warnings)
    pedal = _one_pedal(moves, end_us=int(notes["end_us"].max(initial=0)))
    return PianoPart(
        performance=Performance(notes=notes, pedal=pedal),
        note_ticks=_note_ticks(events, on, off, own_off),
        drums=_drums(events, np.flatnonzero(is_note & is_drum), tempo_map),
        others=others,
    )


def controls_among(others: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The control changes, but the drums', of a table of channel events."""
    status = np.ascontiguousarray(others["status"])
    is_control = (status >> 4 == CONTROL_CHANGE) & (status & 0x0F != DRUM_CHANNEL)
    return others if is_control.all() else np.asarray(others[is_control])


def _pairs(events: npt.NDArray[np.void], rows: npt.NDArray[np.intp]) -> Pairs:
    """The notes among `rows`, as rows of `events`."""
    voice, is_on = _voices(events, rows), _is_on(events[rows])
    found = pair_notes(voice, events["tick"][rows], is_on)
    return found._replace(on=rows[found.on], off=rows[found.off], own_off=rows[found.own_off])


def _note_ticks(
    events: npt.NDArray[np.void],
    on: npt.NDArray[np.intp],
    off: npt.NDArray[np.intp],
    own_off: npt.NDArray[np.intp],
) -> npt.NDArray[np.void]:
    table = _in_ticks(events, on, off, NOTE_TICK_DTYPE)
    table["off_tick"] = events["tick"][own_off]
    table["release"] = _releases(events, own_off)
    return table


def _in_ticks(
    events: npt.NDArray[np.void],
    on: npt.NDArray[np.intp],
    off: npt.NDArray[np.intp],
    dtype: np.dtype[np.void],
) -> npt.NDArray[np.void]:
    table = np.empty(len(on), dtype=dtype)
    table["start_tick"] = events["tick"][on]
    table["end_tick"] = events["tick"][off]
    table["track"] = events["track"][on]
    table["channel"] = events["status"][on] & 0x0F
    table["release"] = _releases(events, off)
    return table


def _releases(events: npt.NDArray[np.void], off: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    is_off = events["status"][off] >> 4 == _NOTE_OFF
    return np.where(is_off, events["data2"][off], NO_RELEASE_VELOCITY).astype(np.uint8)


def _hits(
    events: npt.NDArray[np.void], rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows of drums that are struck, and of what ends each: itself where nothing does.

    A drum sounds by itself: many files end it at once, or never.
    """
    voice = _voices(events, rows)
    rows = rows[np.argsort(voice, kind="stable")]
    voice = np.sort(voice, kind="stable")
    place = np.arange(len(rows))
    is_on = _is_on(events[rows])
    later = np.minimum.accumulate(np.where(is_on, len(rows), place)[::-1])[::-1]
    later = np.minimum(later, max(0, len(rows) - 1))
    is_ended = ~is_on[later] & (voice[later] == voice) if len(rows) else is_on
    return rows[is_on], rows[np.where(is_ended, later, place)][is_on]


def _voices(events: npt.NDArray[np.void], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """A number for what an off must share with its on: track, channel and pitch."""
    channel = (events["status"][rows] & 0x0F).astype(np.int64)
    track = events["track"][rows].astype(np.int64)
    return np.asarray(track << 11 | channel << 7 | events["data1"][rows], dtype=np.int64)


def _is_on(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    return np.asarray((events["status"] >> 4 == _NOTE_ON) & (events["data2"] > 0))


def _drums(
    events: npt.NDArray[np.void], rows: npt.NDArray[np.intp], tempo_map: TempoMap
) -> npt.NDArray[np.void]:
    on, off = _hits(events, rows)
    order = np.argsort(events["tick"][on], kind="stable")
    on, off = on[order], off[order]
    drums = _in_ticks(events, on, off, DRUM_DTYPE)
    drums["start_us"] = tempo_map.ticks_to_us(drums["start_tick"])
    drums["pitch"] = events["data1"][on]
    drums["velocity"] = events["data2"][on]
    return drums


def _others(
    events: npt.NDArray[np.void], rows: npt.NDArray[np.intp], tempo_map: TempoMap
) -> npt.NDArray[np.void]:
    rows = rows[np.argsort(events["tick"][rows], kind="stable")]
    others = np.empty(len(rows), dtype=CHANNEL_EVENT_DTYPE)
    for column in ("tick", "track", "status", "data1", "data2"):
        others[column] = events[column][rows]
    others["time_us"] = tempo_map.ticks_to_us(others["tick"])
    return others


def _pedal_moves(controls: npt.NDArray[np.void], warnings: list[str]) -> npt.NDArray[np.void]:
    """Controller 64 of all channels but those that go down for good where another comes up."""
    moves: npt.NDArray[np.void] = controls[controls["data1"] == SUSTAIN_PEDAL]
    is_down = moves["data2"] >= PEDAL_DOWN_VALUE
    stuck, plays = [], False
    for status in np.unique(moves["status"]):
        down = is_down[moves["status"] == status]
        plays |= bool((down[:-1] & ~down[1:]).any())
        if down[-1] and not (~down[np.argmax(down) :]).any():
            stuck.append(int(status))
    if not plays or not stuck:
        return moves
    for status in stuck:
        channel = (status & 0x0F) + 1
        warnings.append(f"the pedal of channel {channel} never comes up and is left out")
    return np.asarray(moves[~np.isin(moves["status"], stuck)])


def _one_pedal(moves: npt.NDArray[np.void], *, end_us: int) -> npt.NDArray[np.void]:
    """The pedal of all channels together: at each move, the highest value that any of them has.

    Args:
        moves: of all channels, in order of time.
        end_us: when the last key comes up. What still rings then ends as the pedals come up, not
            with one that nobody lifts.
    """
    pedal = np.empty(len(moves), dtype=PEDAL_DTYPE)
    pedal["time_us"] = moves["time_us"]
    value, status = moves["data2"], moves["status"]
    channels = np.unique(status)
    if len(channels) > 1:
        row = np.arange(len(moves))
        held = np.zeros((len(channels), len(moves)), dtype=np.uint8)
        for channel, line in zip(channels, held, strict=True):
            latest = np.maximum.accumulate(np.where(status == channel, row, -1))
            line[:] = np.where(latest >= 0, value[latest], 0)
        is_down, is_over = held >= PEDAL_DOWN_VALUE, moves["time_us"] >= end_us
        is_for_good = is_down[:, -1]
        is_lift = is_down[:, :-1] & ~is_down[:, 1:] & is_over[1:]
        if is_lift[~is_for_good].any():
            held[np.ix_(is_for_good, is_over)] = 0
        value = held.max(axis=0)
    pedal["value"] = value
    return pedal
