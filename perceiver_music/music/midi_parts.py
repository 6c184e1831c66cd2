"""Several players in one MIDI file, each on a channel of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perceiver_music.music.midi_file import SEQUENCE_NAME, MidiFile
from perceiver_music.music.midi_staves import Place, one_staff
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_writer import TICKS_PER_QUARTER, add_performance, add_tempo
from perceiver_music.music.performance import PEDAL_DTYPE, NoteArray, Performance, in_order
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.music.tempo_map import TempoMap


def parts_to_midi(
    parts: Sequence[Performance],
    *,
    title: bytes = b"",
    controls: Sequence[tuple[int, int, int]] = (),
) -> bytes:
    """A MIDI file of format 0; the parts, at most nine, take the channels from the first on.

    Args:
        parts: one a player.
        title: of the whole, in the bytes of a sequence's name; empty writes none.
        controls: (microseconds, number, value) of the first part's other controllers.
    """
    assert len(parts) <= 9
    tempo_map = TempoMap.from_changes(TICKS_PER_QUARTER)
    tracks = Tracks()
    add_tempo(tracks, 0, int(tempo_map.us_per_quarter[0]))
    if title:
        tracks.meta(0, SEQUENCE_NAME, title)
    for channel, part in enumerate(parts):
        add_performance(tracks, part, tempo_map, staves=one_staff(Place(0, channel)))
    for time_us, number, value in controls:
        tracks.control(int(tempo_map.us_to_ticks(time_us)), channel=0, number=number, value=value)
    return tracks.file(TICKS_PER_QUARTER)


def part_on(midi: MidiFile, channel: int) -> Performance:
    """What one of several players played: the notes and the pedal of a channel, from 0."""
    controls = midi.controls
    is_own = (controls["channel"] == channel) & (controls["number"] == SUSTAIN_PEDAL)
    pedal = np.empty(int(is_own.sum()), dtype=PEDAL_DTYPE)
    pedal["time_us"] = controls["time_us"][is_own]
    pedal["value"] = controls["value"][is_own]
    return Performance(midi.performance.notes[midi.note_ticks["channel"] == channel], pedal)


def heard_with_own_pedals(midi: MidiFile) -> NoteArray:
    """The notes of all players as they sound, each one's own pedal holding them."""
    channels = np.unique(midi.note_ticks["channel"])
    parts = [apply_sustain(part_on(midi, int(channel))).notes for channel in channels]
    return in_order(np.concatenate(parts)) if parts else midi.performance.notes
