"""How much of new music has been played before, with and without returns, and of pianists'."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.going_on import goes_on
from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.openings import spread
from benchmarks.provenance import made_with
from benchmarks.returns.following import places
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("results.json")
PRIMER_SECONDS, NEW_SECONDS = 40.0, 150.0
FAR_SECONDS = 20.0
"""What was played sooner than so long ago is a figure or a sequence, and no return."""
FEWEST_NOTES = 16
KINDS = {"left alone": False, "with returns": True}


def continued(session: Session, midi: bytes, name: str, *, comes_back: bool) -> NoteArray:
    """All notes of the primer and what was made of it."""
    made = goes_on(
        session,
        midi,
        name,
        SamplingOptions(come_back=comes_back),
        primer_seconds=PRIMER_SECONDS,
        new_seconds=NEW_SECONDS,
    )
    return made.performance.notes


def figures(notes: NoteArray) -> dict[str, float]:
    """Of the notes after the primer."""
    in_order = np.lexsort((notes["pitch"], notes["start_us"]))
    seconds = notes["start_us"][in_order] / MICROSECONDS
    found = places(notes["pitch"][in_order])
    ago = np.where(found >= 0, seconds - seconds[found], 0.0)
    is_new = (seconds >= PRIMER_SECONDS) & (seconds < PRIMER_SECONDS + NEW_SECONDS)
    num_back = int(((ago > FAR_SECONDS) & is_new).sum())
    return {
        "share of notes": num_back / max(1, int(is_new.sum())),
        f"pieces with {FEWEST_NOTES} such notes or more": float(num_back >= FEWEST_NOTES),
    }


def main() -> None:
    """Go on, count, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="a token store; validation is used")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--pieces", type=int, default=60)
    arguments = parser.parse_args()
    session = open_session(arguments.checkpoint, device="cpu")
    store = TokenStore.open(arguments.store)
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in ("the piece itself", *KINDS)}
    for piece in spread(store.split("validation"), arguments.pieces):
        performance = decode(store.ids(piece))
        if performance.seconds < PRIMER_SECONDS + NEW_SECONDS:
            continue
        midi = performance_to_midi(performance)
        music = {"the piece itself": performance.notes}
        for kind, comes_back in KINDS.items():
            music[kind] = continued(session, midi, piece.path, comes_back=comes_back)
        for kind, notes in music.items():
            rows[kind].append(figures(notes))
        shares = [rows[kind][-1]["share of notes"] for kind in music]
        sys.stderr.write(f"{piece.path}: {' '.join(f'{share:.3f}' for share in shares)}\n")
    ones = [1] * len(rows["the piece itself"])
    results = {
        "store": arguments.store.name,
        "pieces": len(ones),
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "kinds": {
            kind: {
                name: as_fields(weighted_mean_interval([row[name] for row in found], ones))
                for name in found[0]
            }
            for kind, found in rows.items()
        },
        "made_with": {**made_with(), "decoder": session.decoder},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
