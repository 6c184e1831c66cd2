"""How much louder new music is than its primer, with and without keeping the primer's touch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.going_on import goes_on
from benchmarks.openings import spread
from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("results.json")
PRIMER_SECONDS, REFERENCE_SECONDS = 60.0, 20.0
NEW_SECONDS, STRETCH_SECONDS = 40.0, 10.0
FEWEST_NOTES = 4
KINDS = {"left alone": False, "kept": True}


def louder(notes: NoteArray) -> list[float]:
    """How much louder each stretch behind the primer is than the primer's end; NaN where empty."""
    reference = _loudness(notes, PRIMER_SECONDS - REFERENCE_SECONDS, PRIMER_SECONDS)
    firsts = np.arange(PRIMER_SECONDS, PRIMER_SECONDS + NEW_SECONDS, STRETCH_SECONDS)
    return [_loudness(notes, first, first + STRETCH_SECONDS) - reference for first in firsts]


def _loudness(notes: NoteArray, begins: float, ends: float) -> float:
    starts = notes["start_us"] / MICROSECONDS
    velocities = notes["velocity"][(starts >= begins) & (starts < ends)]
    return float(velocities.mean()) if len(velocities) >= FEWEST_NOTES else float("nan")


def continued(session: Session, midi: bytes, name: str, *, keeps: bool) -> NoteArray:
    """All notes of the primer and what was made of it."""
    made = goes_on(
        session,
        midi,
        name,
        SamplingOptions(keep_touch=keeps),
        primer_seconds=PRIMER_SECONDS,
        new_seconds=NEW_SECONDS,
    )
    return made.performance.notes


def summary(rows: list[list[float]]) -> dict[str, list[float]]:
    """Of every stretch, over pieces."""
    table = np.array(rows)
    mean, deviation = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    return {
        "louder by, mean": np.round(mean, 2).tolist(),
        "standard deviation": np.round(deviation, 2).tolist(),
    }


def main() -> None:
    """Go on, compare, and keep the result under the store's name and the split's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--pieces", type=int, default=40)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    session = open_session(arguments.checkpoint, device="cpu")
    found: dict[str, list[list[float]]] = {kind: [] for kind in ("pianist", *KINDS)}
    for piece in spread(store.split(arguments.split), arguments.pieces):
        performance = decode(store.ids(piece))
        if performance.seconds < PRIMER_SECONDS + NEW_SECONDS:
            continue
        midi = performance_to_midi(performance)
        found["pianist"].append(louder(performance.notes))
        for kind, keeps in KINDS.items():
            found[kind].append(louder(continued(session, midi, piece.path, keeps=keeps)))
        sys.stderr.write(f"{piece.path}: {[rows[-1] for rows in found.values()]}\n")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"{arguments.store.stem}, {arguments.split}"] = {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "pieces": len(found["pianist"]),
        "stretches": f"of {STRETCH_SECONDS:g} s behind a primer of {PRIMER_SECONDS:g} s",
        **{kind: summary(rows) for kind, rows in found.items()},
        "made_with": {**made_with(), "decoder": session.decoder},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
