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
from perceiver_music.music.tempo_map import TempoMap

_LONGEST_TICK_US: Final = 2_000
"""So that no time moves by more than a millisecond."""


def on_coarser_ticks(file: MidiFile, last_tick: int) -> MidiFile:
    """The file on as long ticks as it takes for `last_tick` to be one that others read.

    It comes back as it is where its ticks are long enough, or where its slowest tempo allows no
    longer ones.
    """
    old = file.tempo_map.ticks_per_quarter
    new = old * MOST_TICKS // max(last_tick, MOST_TICKS)
    if new == old or int(file.tempo_map.us_per_quarter.max()) > new * _LONGEST_TICK_US:
        return file

    def coarser(ticks: npt.ArrayLike) -> npt.NDArray[np.int64]:
        return (np.asarray(ticks, dtype=np.int64) * (2 * new) + old) // (2 * old)

    def all_coarser(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        rows = rows.copy()
        for column in set(rows.dtype.names or ()) & {"tick", "start_tick", "end_tick", "off_tick"}:
            rows[column] = coarser(rows[column])
        return rows

    def moved(metas: tuple[MetaEvent, ...]) -> tuple[MetaEvent, ...]:
        return tuple(replace(meta, tick=int(coarser(meta.tick))) for meta in metas)

    tempi = zip(
        coarser(file.tempo_map.ticks).tolist(), file.tempo_map.us_per_quarter.tolist(), strict=True
    )
    note_ticks = all_coarser(file.note_ticks)
    # A note that ended at once would be none.
    for column in ("end_tick", "off_tick"):
        note_ticks[column] = np.maximum(note_ticks[column], note_ticks["start_tick"] + 1)
    return replace(
        file,
        note_ticks=note_ticks,
        drums=all_coarser(file.drums),
        channel_events=all_coarser(file.channel_events),
        tempo_map=TempoMap.from_changes(new, tempi),
        time_signatures=moved(file.time_signatures),
        key_signatures=moved(file.key_signatures),
        other_metas=moved(file.other_metas),
        track_ends=tuple(coarser(file.track_ends).tolist()),
    )
