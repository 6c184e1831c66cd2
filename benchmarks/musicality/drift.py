"""Five-minute continuations: is the fourth minute still like the first?"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.musicality.made_pieces import (
    PRIMER_SECONDS,
    between,
    made_notes,
    made_path,
    notes_of,
    pieces_of,
)
from benchmarks.musicality.make import make
from benchmarks.musicality.run import FIGURES, RESULTS, key_agreement, quartiles
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.evaluation.statistics import (
    music_statistics,
    pitch_class_histogram,
)
from perceiver_music.music.key import key_fits
from perceiver_music.music.performance import NoteArray

SECONDS = 300.0


def minute(notes: NoteArray, number: int) -> NoteArray:
    """The notes of one minute, counted from 1."""
    return between(notes, 60.0 * (number - 1), 60.0 * number)


def describe(notes: NoteArray) -> dict[str, Any]:
    """The first and the fourth minute of one performance."""
    first, fourth = minute(notes, 1), minute(notes, 4)
    rows = [asdict(music_statistics(part)) for part in (first, fourth)]
    found: dict[str, Any] = {name: [row[name] for row in rows] for name in FIGURES}
    # How clearly any key stands out: noise has none.
    clarity = [max(key_fits(pitch_class_histogram(part))) for part in (first, fourth)]
    return {**found, "key_clarity": clarity, "key_agreement": key_agreement(first, fourth)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Quartiles of the first and the fourth minute over pieces."""
    found: dict[str, Any] = {
        name: {
            when: quartiles([row[name][i] for row in rows])
            for i, when in enumerate(("minute_1", "minute_4"))
        }
        for name in (*FIGURES, "key_clarity")
    }
    found["key_agreement"] = quartiles([row["key_agreement"] for row in rows])
    return found


def main() -> None:
    """Make, measure, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path, help="of the outputs; one a checkpoint")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--name", default="bundled", help="of the result")
    parser.add_argument("--pieces", type=int, default=10)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    long_enough = [
        (index, piece)
        for index, piece in pieces_of(store, arguments.split)
        if piece.seconds > PRIMER_SECONDS + SECONDS
    ]
    chosen = np.linspace(0, len(long_enough) - 1, arguments.pieces).round().astype(int)
    pieces = [long_enough[i] for i in chosen]
    sha256 = make(
        store,
        arguments.split,
        arguments.folder,
        checkpoint=arguments.checkpoint,
        seconds=SECONDS,
        only=pieces,
    )
    made, real = [], []
    for index, piece in pieces:
        made.append(describe(made_notes(made_path(arguments.folder, index))))
        real.append(describe(between(notes_of(store, piece), PRIMER_SECONDS, 1e5)))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"{arguments.split}, {arguments.name}, five minutes"] = {
        "checkpoint_sha256": sha256,
        "pieces": len(pieces),
        "made": summary(made),
        "real": summary(real),
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
