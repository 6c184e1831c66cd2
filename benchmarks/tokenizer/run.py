"""Compare our events with note-seq's on MAESTRO, and how fast both are made."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import made_with
from benchmarks.tokenizer.oracle import compare, reference_ids, reference_sequence
from perceiver_music.music.midi_file import read_midi
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer.performance_events import encode, encode_notes

RESULTS = Path(__file__).with_name("results.json")
SPEED_PIECES, SPEED_ROUNDS = 24, 7


def events_of(files: list[Path]) -> dict[str, Any]:
    """Counts of equal files and of each kind of difference."""
    kinds: Counter[str] = Counter()
    pieces_by_kind: Counter[str] = Counter()
    unexplained: list[str] = []
    equal = round_trips = moments = 0
    for done, path in enumerate(files, start=1):
        found = compare(path)
        equal += found.is_equal
        round_trips += found.is_round_trip
        moments += found.num_moments
        kinds += found.moments
        pieces_by_kind.update(kind for kind, count in found.moments.items() if count)
        if found.unexplained:
            unexplained.append(f"{path.name}: {found.unexplained}")
        if done % 50 == 0:
            sys.stderr.write(
                f"{done} of {len(files)}, {equal} equal, {len(unexplained)} unexplained\n"
            )
    return {
        "pieces": len(files),
        "equal": equal,
        "round_trips": round_trips,
        "moments_compared": moments,
        "moments_that_differ": dict(sorted(kinds.items())),
        "pieces_with_each": dict(sorted(pieces_by_kind.items())),
        "unexplained": unexplained,
    }


def cpu_seconds(work: Callable[[Any], Any], pieces: list[Any]) -> float:
    """The processor time of doing all pieces, one after the other."""
    started = time.process_time()
    for piece in pieces:
        work(piece)
    return time.process_time() - started


def ids_of_file(path: Path) -> Any:
    """A file to ids, as we do it."""
    return encode(read_midi(path).performance)


def reference_ids_of_file(path: Path) -> Any:
    """A file to ids, as note-seq does it."""
    return reference_ids(reference_sequence(path))


def speed_of(files: list[Path]) -> dict[str, Any]:
    """Our time and note-seq's on the same pieces in turn; medians over the rounds."""
    chosen = np.random.default_rng(0).choice(np.array(files), SPEED_PIECES, replace=False)
    paths = [Path(path) for path in chosen]
    notes = [apply_sustain(read_midi(path).performance).notes for path in paths]
    sequences = [reference_sequence(path) for path in paths]
    parts: dict[str, list[tuple[float, float]]] = {"from notes to ids": [], "from file to ids": []}
    for _ in range(SPEED_ROUNDS):
        parts["from notes to ids"].append(
            (cpu_seconds(encode_notes, notes), cpu_seconds(reference_ids, sequences))
        )
        parts["from file to ids"].append(
            (cpu_seconds(ids_of_file, paths), cpu_seconds(reference_ids_of_file, paths))
        )
    return {
        name: {
            "pieces": len(paths),
            "notes": sum(map(len, notes)),
            "rounds": len(rows),
            "ours_cpu_seconds": round(statistics.median(ours for ours, _ in rows), 6),
            "note_seq_cpu_seconds": round(statistics.median(theirs for _, theirs in rows), 6),
            "ratio": round(statistics.median(theirs / ours for ours, theirs in rows), 1),
            "lowest_ratio": round(min(theirs / ours for ours, theirs in rows), 1),
        }
        for name, rows in parts.items()
    }


def main() -> None:
    """Run one part or both, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="MAESTRO v3, unpacked")
    parser.add_argument("--only", choices=("events", "speed"))
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*/*.mid*"))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.only != "speed":
        results["events"] = {**events_of(files), "made_with": made_with("note-seq")}
    if arguments.only != "events":
        results["speed"] = {"parts": speed_of(files), "made_with": made_with("note-seq")}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
