"""A MIDI file on longer ticks, so that a copy of it has no more of them than other programs take.

Its tempi stay: it is the quarter notes that get fewer ticks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_bytes import MetaEvent
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.midi_writer import MOST_TICKS
from perceiver_music.music.tempo_map import nearest_ticks

_FURTHEST_US: Final = 1_000
"""That any time may move by."""
_LONGEST_TICK_US: Final = 2 * _FURTHEST_US
_COLUMNS: Final = ("tick", "start_tick", "end_tick", "off_tick")


def on_coarser_ticks(file: MidiFile, last_tick: int) -> MidiFile:
    """The file on as long ticks as it takes for `last_tick` to be one that others read.

    It comes back as it is where its ticks are long enough, where its slowest tempo allows no
    longer ones, or where the roundings of many tempi would add up to more than a millisecond.
    """
    old = file.tempo_map.ticks_per_quarter
    new = old * MOST_TICKS // max(last_tick, MOST_TICKS)
    if new == old or int(file.tempo_map.us_per_quarter.max()) > new * _LONGEST_TICK_US:
        return file

    on_longer = _on_ticks(file, new)
    return on_longer if _furthest_us(file, on_longer) <= _FURTHEST_US else file


def _on_ticks(file: MidiFile, new: int) -> MidiFile:
    """The file on so many ticks a quarter note."""
    old = file.tempo_map.ticks_per_quarter

    def all_coarser(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        rows = rows.copy()
        for column in _columns_of(rows):
            rows[column] = nearest_ticks(rows[column], old, new)
        return rows

    def moved(metas: tuple[MetaEvent, ...]) -> tuple[MetaEvent, ...]:
        return tuple(replace(meta, tick=int(nearest_ticks(meta.tick, old, new))) for meta in metas)

    note_ticks = all_coarser(file.note_ticks)
    # A note that ended at once would be none.
    for column in ("end_tick", "off_tick"):
        note_ticks[column] = np.maximum(note_ticks[column], note_ticks["start_tick"] + 1)
    return replace(
        file,
        note_ticks=note_ticks,
        drums=all_coarser(file.drums),
        channel_events=all_coarser(file.channel_events),
        tempo_map=file.tempo_map.on_ticks(new),
        time_signatures=moved(file.time_signatures),
        key_signatures=moved(file.key_signatures),
        other_metas=moved(file.other_metas),
        track_ends=tuple(nearest_ticks(file.track_ends, old, new).tolist()),
    )


def _columns_of(rows: npt.NDArray[np.void]) -> list[str]:
    return [column for column in _COLUMNS if column in (rows.dtype.names or ())]


def _furthest_us(file: MidiFile, on_longer: MidiFile) -> int:
    """How far any tempo, note, drum or other channel event of the file moves."""
    old, new = file.tempo_map, on_longer.tempo_map
    tempi = nearest_ticks(old.ticks, old.ticks_per_quarter, new.ticks_per_quarter)
    moments = [(old.ticks, tempi)]
    for name in ("note_ticks", "drums", "channel_events"):
        rows, moved = getattr(file, name), getattr(on_longer, name)
        moments += [(rows[column], moved[column]) for column in _columns_of(rows)]
    return max(
        int(np.abs(new.ticks_to_us(after) - old.ticks_to_us(before)).max(initial=0))
        for before, after in moments
    )
