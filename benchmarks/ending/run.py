"""How many pieces come to an end of their own inside their length, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.openings import mixed_openings
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.ending import Ending
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("results.json")
PRIMER_EVENTS, LAST_CHORD_SECONDS = 512, 0.1


def end_one(session: Session, opening: Opening, limits: Limits, number: int) -> dict[str, Any]:
    """One piece: whether and when it ended, and how long its last chord is held."""
    *_, music = continue_events(
        session._loaded.model,
        opening,
        limits=limits,
        sampling=SamplingOptions(),
        rng=variation_rng(1, number),
        context=session.context,
        latents=session.latents,
    )
    progress = limits.progress(events=len(music.ids), notes=music.num_notes, steps=music.step)
    row: dict[str, Any] = {"ended": music.ended, "at": round(progress, 3), "notes": music.num_notes}
    notes = decode(np.array(music.ids + music.closing, dtype=np.uint16)).notes
    if len(notes):
        onset = notes["start_us"].max()
        chord = notes[notes["start_us"] >= onset - LAST_CHORD_SECONDS * 1e6]
        seconds = (chord["end_us"].max() - onset) / 1e6
        row |= {"last_chord_keys": len(chord), "last_chord_seconds": round(float(seconds), 2)}
    return row


def main() -> None:
    """Make the pieces, count, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    session = open_session(arguments.checkpoint, device="cpu")
    limits = Limits(end_step=round(arguments.seconds * 100), is_ending_allowed=True)
    store = TokenStore.open(arguments.store)
    rows = []
    openings = mixed_openings(store, arguments.split, arguments.runs, num_events=PRIMER_EVENTS)
    for number, (name, opening) in enumerate(openings, start=1):
        rows.append({"opening": name, **end_one(session, opening, limits, number)})
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    own = [row for row in rows if row["ended"] == "ending"]
    coda = Ending(limits).coda
    summary = {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session._loaded.sha256,
        "seconds": arguments.seconds,
        "runs": len(rows),
        "ended_by_eos": len(own),
        "of_these_before_the_coda": sum(row["at"] <= coda for row in own),
        "median_place_of_the_end": round(float(np.median([row["at"] for row in own] or [0.0])), 3),
        "median_seconds_of_the_last_chord": round(
            float(np.median([row.get("last_chord_seconds", 0.0) for row in own] or [0.0])), 2
        ),
        "made_with": torch_made_with(),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
