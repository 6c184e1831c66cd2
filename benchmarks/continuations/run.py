"""Continue twenty held-out primers and look at what came out."""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi

from benchmarks.provenance import torch_made_with
from perceiver_music.generation.options import LengthOption
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.music.midi_file import parse_midi, read_midi

RESULTS = Path(__file__).with_name("results.json")
NUM_PIECES, PRIMER_SECONDS, NUM_EVENTS, SEED = 20, 30.0, 4096, 1


def test_pieces(folder: Path) -> list[Path]:
    """Twenty files spread evenly over the test split, in the order of the official list."""
    (listing,) = folder.glob("maestro-v?.?.?.csv")
    with listing.open(encoding="utf-8") as stream:
        names = [row["midi_filename"] for row in csv.DictReader(stream) if row["split"] == "test"]
    chosen = np.linspace(0, len(names) - 1, NUM_PIECES).round().astype(int)
    return [folder / names[index] for index in chosen]


def continue_piece(session: Session, path: Path) -> dict[str, Any]:
    """One continuation, described."""
    request = ContinueRequest(
        primer=path,
        primer_name=path.name,
        to_seconds=PRIMER_SECONDS,
        seed=SEED,
        length=LengthOption(amount=NUM_EVENTS, unit="events"),
    )
    started = time.perf_counter()
    result = session.run(request)
    seconds_taken = time.perf_counter() - started
    output = parse_midi(result.midi, name=path.name).performance.notes
    new = output[output["start_us"] >= PRIMER_SECONDS * 1e6 - 1_000]
    primer = read_midi(path).performance.notes
    primer = primer[primer["start_us"] < PRIMER_SECONDS * 1e6]
    rate = len(new) / (float(new["end_us"].max()) / 1e6 - PRIMER_SECONDS) if len(new) else 0.0
    return {
        "primer": path.name,
        "is_playable": bool(pretty_midi.PrettyMIDI(io.BytesIO(result.midi)).instruments),
        "events": result.events,
        "notes": len(new),
        "pitches": len(np.unique(new["pitch"])),
        "seconds": result.seconds,
        "notes_per_second": round(rate, 3),
        "primer_notes_per_second": round(len(primer) / PRIMER_SECONDS, 3),
        "seconds_taken": round(seconds_taken, 2),
    }


def main() -> None:
    """Continue, count, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="MAESTRO v3, unpacked")
    parser.add_argument("--checkpoint", default=None)
    arguments = parser.parse_args()
    session = open_session(arguments.checkpoint, device="cpu")
    rows = []
    for path in test_pieces(arguments.folder):
        rows.append(continue_piece(session, path))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    ratios = [row["notes_per_second"] / row["primer_notes_per_second"] for row in rows]
    summary = {
        "checkpoint": session.checkpoint,
        "pieces": len(rows),
        "playable": sum(row["is_playable"] for row in rows),
        "silent": sum(row["notes"] == 0 for row in rows),
        "one_repeated_note": sum(row["pitches"] == 1 for row in rows),
        "note_rate_within_a_factor_of_two": sum(0.5 <= ratio <= 2.0 for ratio in ratios),
        "median_note_rate_ratio": round(statistics.median(ratios), 3),
        "made_with": torch_made_with(),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
