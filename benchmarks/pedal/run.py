"""Round trips of MAESTRO through the tokenizer that keeps the pedal, and what it costs."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import made_with
from perceiver_music.music.midi_file import parse_midi, read_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NoteArray, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import pedal_events
from perceiver_music.tokenizer.registry import get_tokenizer

RESULTS = Path(__file__).with_name("results.json")
FIRST, PEDAL = get_tokenizer("maestro-performance-400"), get_tokenizer("pedal-performance-623")
HEARD_DIFFERENTLY_US = 20_000


def in_order(notes: NoteArray) -> NoteArray:
    """Notes by step, pitch and moment: the order that the tokenizer keeps."""
    step = (notes["start_us"] + 5_000) // 10_000
    return notes[np.lexsort((notes["start_us"], notes["pitch"], step))]


def round_trip(performance: Performance) -> dict[str, Any]:
    """Counts and largest errors of one piece."""
    ids = PEDAL.encode(performance)
    back = PEDAL.decode(ids)
    notes, again = in_order(performance.notes), in_order(back.notes)
    value = performance.pedal["value"].astype(int)
    moves = performance.pedal[np.diff(value, prepend=0) != 0]
    from_file = parse_midi(performance_to_midi(back), name="again").performance
    heard, heard_again = (in_order(apply_sustain(p).notes) for p in (performance, back))
    row: dict[str, Any] = {
        "notes": len(notes),
        "seconds": performance.seconds,
        "events": len(ids),
        "events_of_first": len(FIRST.encode(performance)),
        "pedal_events": int((ids >= pedal_events.PEDAL).sum()),
        "pedal_messages": len(value),
        "pedal_changes": len(moves),
        "pedal_kept": np.array_equal(moves["value"], back.pedal["value"]),
        "notes_kept": all(np.array_equal(notes[c], again[c]) for c in ("pitch", "velocity")),
        "ids_again": np.array_equal(ids, PEDAL.encode(back)),
        "ids_from_file": np.array_equal(ids, PEDAL.encode(from_file)),
    }
    if row["notes_kept"]:
        row["onset_us"] = int(np.abs(notes["start_us"] - again["start_us"]).max())
    if row["pedal_kept"] and len(moves):
        row["pedal_us"] = int(np.abs(moves["time_us"] - back.pedal["time_us"]).max())
    if len(heard) == len(heard_again):
        difference = np.abs(heard["end_us"] - heard_again["end_us"])
        row["heard_differently"] = int((difference > HEARD_DIFFERENTLY_US).sum())
        row["heard_compared"] = len(heard)
    return row


def main() -> None:
    """Take every piece there and back, and keep the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="MAESTRO v3, unpacked")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th piece")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*/*.mid*"))[:: arguments.every]
    sums: Counter[str] = Counter()
    largest = {"onset_us": 0, "pedal_us": 0}
    for done, path in enumerate(files, start=1):
        row = round_trip(read_midi(path).performance)
        for name in largest:
            largest[name] = max(largest[name], row.pop(name, 0))
        sums.update(row)
        if done % 100 == 0:
            sys.stderr.write(f"{done} of {len(files)}\n")
    seconds = sums["seconds"]
    results = {
        "pieces": len(files),
        **{name: round(count, 1) for name, count in sums.items()},
        **{f"largest_{name}": error for name, error in largest.items()},
        "events_per_second": round(sums["events"] / seconds, 2),
        "events_per_second_of_first": round(sums["events_of_first"] / seconds, 2),
        "pedal_events_per_second": round(sums["pedal_events"] / seconds, 2),
        "events_per_note": round(sums["events"] / sums["notes"], 3),
        "ratio_to_first": round(sums["events"] / sums["events_of_first"], 3),
        "made_with": made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
