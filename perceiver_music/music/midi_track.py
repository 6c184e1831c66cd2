"""The tracks of a MIDI file as rows in any order, written by mido in order of time."""

from __future__ import annotations

import io

import mido

from perceiver_music.music.midi_bytes import SYSTEM_EXCLUSIVE
from perceiver_music.music.piano_part import NO_RELEASE_VELOCITY

# At one tick: metas and messages to makers, then pedals and other controls, so that a pedal which
# goes down as a key rises catches it (`sustain`), then what ends, what begins, and what does both.
_META, _CONTROL, _END, _BEGIN, _END_AT_ONCE = range(5)

_OF_ONE_BYTE = (0xC, 0xD)


class Tracks:
    """Meta events, notes and channel events; each track has them in order of time."""

    def __init__(self) -> None:
        self._rows: dict[int, list[tuple[int, int, int, mido.Message]]] = {0: []}
        self._ends: dict[int, int] = {}

    def _add(self, track: int, tick: int, order: int, message: mido.Message) -> None:
        rows = self._rows.setdefault(track, [])
        rows.append((int(tick), order, len(rows), message))

    def meta(self, tick: int, kind: int, data: bytes, *, track: int = 0) -> None:
        """Add a meta event by its kind byte and content, or a system-exclusive message."""
        if kind == SYSTEM_EXCLUSIVE:
            message = mido.Message("sysex", data=data)
        else:
            message = mido.UnknownMetaMessage(kind, list(data))
        self._add(track, tick, _META, message)

    def note(
        self,
        start: int,
        end: int,
        *,
        channel: int,
        pitch: int,
        velocity: int,
        release: int = NO_RELEASE_VELOCITY,
        track: int = 0,
    ) -> None:
        """Add both ends of a note."""
        end = max(int(start), int(end))
        # From tables whose types allow nothing else; a million checks take half a minute.
        on = mido.Message("note_on", True, channel=channel, note=pitch, velocity=velocity)
        off = mido.Message("note_off", True, channel=channel, note=pitch, velocity=release)
        self._add(track, start, _BEGIN, on)
        self._add(track, end, _END_AT_ONCE if end == start else _END, off)

    def note_off(self, tick: int, *, channel: int, pitch: int, track: int) -> None:
        """Add an end that notes share."""
        fields = {"channel": channel, "note": pitch, "velocity": NO_RELEASE_VELOCITY}
        self._add(track, tick, _END, mido.Message("note_off", True, **fields))

    def control(self, tick: int, *, channel: int, number: int, value: int, track: int = 0) -> None:
        """Add a control change."""
        message = mido.Message("control_change", channel=channel, control=number, value=value)
        self._add(track, tick, _CONTROL, message)

    def event(self, tick: int, status: int, data1: int, data2: int, *, track: int = 0) -> None:
        """Add any other channel event than a note; the kinds of one byte pass over `data2`."""
        data = (status, data1) if status >> 4 in _OF_ONE_BYTE else (status, data1, data2)
        self._add(track, tick, _CONTROL, mido.Message.from_bytes(data))

    def keep_until(self, track: int, tick: int) -> None:
        """Let a track be there, and not end before a moment."""
        self._rows.setdefault(track, [])
        self._ends[track] = int(tick)

    def file(self, ticks_per_quarter: int) -> bytes:
        """The bytes of a MIDI file: of format 0 where there is one track, else of format 1."""
        is_one = len(self._rows) == 1
        midi = mido.MidiFile(type=0 if is_one else 1, ticks_per_beat=ticks_per_quarter)
        for number in sorted(self._rows):
            track = mido.MidiTrack()
            midi.tracks.append(track)
            now = 0
            for tick, _, _, message in sorted(self._rows[number], key=lambda row: row[:3]):
                message.time = tick - now  # a copy would check all of it again
                track.append(message)
                now = tick
            rest = max(0, self._ends.get(number, 0) - now)
            track.append(mido.MetaMessage("end_of_track", time=rest))
        buffer = io.BytesIO()
        midi.save(file=buffer)
        return buffer.getvalue()
