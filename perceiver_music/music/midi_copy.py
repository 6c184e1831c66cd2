"""What is copied from a MIDI file as it stands: meta events, notes and drums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from perceiver_music.music.embedded import PRIMER_MARK, SETTINGS_MARK
from perceiver_music.music.midi_bytes import MetaEvent
from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.midi_track import Tracks

_OWN_MARKS = (SETTINGS_MARK.encode(), PRIMER_MARK)


def is_own(meta: MetaEvent) -> bool:
    """Whether an event tells how a file was made by this program."""
    return meta.data.startswith(_OWN_MARKS)


def add_metas(tracks: Tracks, metas: Sequence[MetaEvent], factor: int) -> None:
    """Add events as they are, but those of this program: they tell of the old file."""
    for meta in metas:
        if not is_own(meta):
            tracks.meta(meta.tick * factor, meta.kind, meta.data, track=meta.track)


def add_notes(
    tracks: Tracks,
    file: MidiFile,
    rows: npt.NDArray[np.intp],
    *,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offs: npt.NDArray[np.int64],
) -> None:
    """Add notes of a file on new ticks.

    Args:
        tracks: gets them.
        file: has them.
        rows: which ones.
        starts: of each.
        ends: of each, where its sound does.
        offs: of each, where its own note-off stands: at the end or, where a note of the same key
            ends them both, later.
    """
    notes, ticks = file.performance.notes[rows], file.note_ticks[rows]
    columns = ticks["track"].tolist(), ticks["channel"].tolist(), notes["pitch"].tolist()
    keys = list(zip(*columns, strict=True))
    own_offs = set(zip(keys, offs.tolist(), strict=True))
    for row, (track, channel, pitch) in enumerate(keys):
        tracks.note(
            int(starts[row]),
            int(offs[row]),
            track=track,
            channel=channel,
            release=int(ticks["release"][row]),
            pitch=pitch,
            velocity=int(notes["velocity"][row]),
        )
    # A note that is not copied may have the off that ends one which is.
    shared = set(zip(keys, ends.tolist(), strict=True)) - own_offs
    for (track, channel, pitch), tick in sorted(shared):
        tracks.note_off(tick, track=track, channel=channel, pitch=pitch)


def add_drums(
    tracks: Tracks,
    drums: npt.NDArray[np.void],
    factor: int,
    *,
    from_tick: int = 0,
    to_tick: int | None = None,
) -> None:
    """Add `DRUM_DTYPE` rows on new ticks, which count from `from_tick`; all end by `to_tick`."""
    starts = drums["start_tick"] * factor
    ends = drums["end_tick"] * factor
    if to_tick is not None:
        ends = np.minimum(ends, to_tick)
    for start, end, drum in zip(starts, ends, drums, strict=True):
        tracks.note(
            int(start) - from_tick,
            int(end) - from_tick,
            track=int(drum["track"]),
            channel=int(drum["channel"]),
            release=int(drum["release"]),
            pitch=int(drum["pitch"]),
            velocity=int(drum["velocity"]),
        )
