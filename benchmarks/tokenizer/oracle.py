"""note-seq's own events for a MIDI file, and why ours differ where they do."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_file import read_midi
from perceiver_music.music.performance import MICROSECONDS, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import decode, encode, encode_notes, quantize

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about audio programs that nothing here uses
    from note_seq import midi_io, sequences_lib
    from note_seq.performance_lib import Performance as ReferencePerformance

FIRST_ID_BY_EVENT_TYPE = {1: v.NOTE_ON, 2: v.NOTE_OFF, 3: v.TIME_SHIFT - 1, 4: v.VELOCITY - 1}
HALF_STEP_TOLERANCE = 1e-6
"""In steps. A float of up to two hours of seconds times 100 is wrong by less."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One file under both encoders.

    Attributes:
        is_equal: all ids are the same.
        moments: note onsets and ends that fall on different steps, by kind of reason.
        num_moments: onsets and ends compared.
        is_round_trip: our ids come back from our decoder.
        unexplained: what remains, in words; empty when all is explained.
    """

    is_equal: bool
    moments: Counter[str]
    num_moments: int
    is_round_trip: bool
    unexplained: str = ""


def reference_sequence(path: Path) -> Any:
    """A file as note-seq reads it, pedal applied."""
    return sequences_lib.apply_sustain_control_changes(
        midi_io.midi_file_to_note_sequence(str(path))
    )


def reference_ids(sequence: Any) -> npt.NDArray[np.int64]:
    """note-seq's ids of a sequence without pedal."""
    quantized = sequences_lib.quantize_note_sequence_absolute(sequence, v.STEPS_PER_SECOND)
    events = ReferencePerformance(quantized, num_velocity_bins=v.NUM_VELOCITY_BINS)
    return np.array(
        [FIRST_ID_BY_EVENT_TYPE[event.event_type] + event.event_value for event in events]
    )


def compare(path: Path) -> Comparison:
    """Encode a file with both, and explain what differs moment by moment."""
    music = read_midi(path).performance
    ours = encode(music).astype(np.int64)
    is_round_trip = np.array_equal(encode(decode(ours)), ours)
    sequence = reference_sequence(path)
    theirs = reference_ids(sequence)
    notes = apply_sustain(music).notes
    num_moments = 2 * len(notes)
    if np.array_equal(ours, theirs):
        return Comparison(
            is_equal=True,
            moments=Counter(),
            num_moments=num_moments,
            is_round_trip=is_round_trip,
        )
    kinds, unexplained = _explain(music, sequence, theirs)
    return Comparison(
        is_equal=False,
        moments=kinds,
        num_moments=num_moments,
        is_round_trip=is_round_trip,
        unexplained=unexplained,
    )


def _explain(
    music: Performance, sequence: Any, theirs: npt.NDArray[np.int64]
) -> tuple[Counter[str], str]:
    """Kinds of moments that differ, and whether they are all of the difference."""
    notes = apply_sustain(music).notes
    rows = sorted((n.start_time, n.pitch, n.end_time, n.velocity) for n in sequence.notes)
    order = np.lexsort((notes["end_us"], notes["pitch"], notes["start_us"]))
    notes = notes[order]
    kinds: Counter[str] = Counter()
    if len(rows) != len(notes):
        return kinds, f"{len(notes)} notes here, {len(rows)} there"
    reference = np.array([(row[0], row[2]) for row in rows])
    if [row[1] for row in rows] != notes["pitch"].tolist():
        return kinds, "the notes are not the same"
    our_steps = np.stack(quantize(notes), axis=1)
    their_steps = np.floor(reference * v.STEPS_PER_SECOND + 0.5).astype(np.int64)
    their_steps[:, 1] = np.maximum(their_steps[:, 1], their_steps[:, 0] + 1)
    exact = np.stack((notes["start_us"], notes["end_us"]), axis=1)
    distance = np.abs(reference * MICROSECONDS - exact)
    differs = our_steps != their_steps
    phase = reference * v.STEPS_PER_SECOND % 1.0
    is_half = np.abs(phase - 0.5) <= HALF_STEP_TOLERANCE
    kinds["a float just beside half a step"] = int((differs & is_half).sum())
    unexplained = differs & ~is_half
    # A note that ends in the step in which it starts is made one step long; a start that moved
    # takes its end with it.
    moved_start = differs[:, :1] & is_half[:, :1]
    follows = unexplained & np.array([[False, True]]) & moved_start
    kinds["an end that follows its start"] = int(follows.sum())
    unexplained &= ~follows
    if unexplained.any():
        worst = float(distance[unexplained].max())
        return kinds, f"{int(unexplained.sum())} moments differ, by up to {worst:.0f} us"
    rebuilt = _ids_on_steps(notes, their_steps)
    if not np.array_equal(rebuilt, theirs):
        return kinds, "the same steps, other events"
    return kinds, ""


def _ids_on_steps(notes: npt.NDArray[np.void], steps: npt.NDArray[np.int64]) -> Any:
    """Our events of the same notes, on note-seq's steps: shows that nothing else differs."""
    moved = notes.copy()
    # Within a step the order of onsets must stay: a microsecond apart they do.
    first_of_step = np.searchsorted(steps[:, 0], steps[:, 0])
    offset = np.arange(len(notes)) - first_of_step
    moved["start_us"] = steps[:, 0] * v.MICROSECONDS_PER_STEP + offset
    moved["end_us"] = steps[:, 1] * v.MICROSECONDS_PER_STEP
    return encode_notes(moved).astype(np.int64)
