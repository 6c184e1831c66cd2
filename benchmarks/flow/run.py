"""How long new music waits for a key and holds one, with and without what leads it back."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.going_on import goes_on
from benchmarks.openings import spread
from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("results.json")
PRIMER_SECONDS, NEW_SECONDS = 40.0, 60.0
HELD_SECONDS = (2.0, 4.0, 7.9)
SHORT_SECONDS = 0.08
LONG_WAIT = 3.0
QUANTILES = (0.5, 0.9, 0.95, 1.0)
KINDS = {"left alone": False, "led back": True}


def longest_wait(notes: NoteArray) -> float:
    """Seconds between two onsets, or from the last one to the end of the minute."""
    starts = np.sort(notes["start_us"]) / MICROSECONDS
    last = starts[starts < PRIMER_SECONDS][-1:]
    new = starts[(starts >= PRIMER_SECONDS) & (starts < PRIMER_SECONDS + NEW_SECONDS)]
    edge = min([PRIMER_SECONDS + NEW_SECONDS, *starts[starts >= PRIMER_SECONDS + NEW_SECONDS]])
    return float(np.diff([*last, *new, edge]).max())


def lengths(notes: NoteArray) -> npt.NDArray[np.float64]:
    """Seconds that each note sounds of those that begin long enough before the end."""
    starts = notes["start_us"] / MICROSECONDS
    longest = max(HELD_SECONDS) + 2.1
    is_new = (starts >= PRIMER_SECONDS) & (starts < PRIMER_SECONDS + NEW_SECONDS - longest)
    return (notes["end_us"] - notes["start_us"])[is_new] / MICROSECONDS


def continued(session: Session, midi: bytes, name: str, *, is_led: bool) -> NoteArray:
    """All notes of the primer and what was made of it, as they sound."""
    made = goes_on(
        session,
        midi,
        name,
        SamplingOptions(let_go=is_led, keep_moving=is_led, keep_articulation=is_led),
        primer_seconds=PRIMER_SECONDS,
        new_seconds=NEW_SECONDS,
    )
    return apply_sustain(made.performance).notes


def summary(performances: list[NoteArray]) -> dict[str, Any]:
    """Of one kind, over pieces and over notes."""
    waits = np.array([longest_wait(notes) for notes in performances])
    held = np.concatenate([lengths(notes) for notes in performances])
    return {
        "longest wait, quantiles": np.quantile(waits, QUANTILES).round(2).tolist(),
        f"waits of more than {LONG_WAIT:g} s": round(float((waits > LONG_WAIT).mean()), 3),
        "of a thousand notes longer": [
            round(1000 * float((held > seconds).mean()), 2) for seconds in HELD_SECONDS
        ],
        f"of a thousand notes below {SHORT_SECONDS:g} s": round(
            1000 * float((held < SHORT_SECONDS).mean()), 1
        ),
        "longer than the primer's notes by a factor of, quantiles": _ratios(performances),
    }


def _ratios(performances: list[NoteArray]) -> list[float]:
    """Of the geometric mean lengths of new and old notes; quartiles over pieces."""
    found = []
    for notes in performances:
        is_old = notes["start_us"] < PRIMER_SECONDS * MICROSECONDS
        old = (notes["end_us"] - notes["start_us"])[is_old] / MICROSECONDS
        found.append(np.exp(np.log(lengths(notes)).mean() - np.log(old).mean()))
    return np.quantile(found, (0.25, 0.5, 0.75)).round(2).tolist()


def main() -> None:
    """Go on, compare, and keep the result under the store's name and the split's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--pieces", type=int, default=60)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    session = open_session(arguments.checkpoint, device="cpu")
    found: dict[str, list[NoteArray]] = {kind: [] for kind in ("pianist", *KINDS)}
    for piece in spread(store.split(arguments.split), arguments.pieces):
        performance = decode(store.ids(piece))
        if performance.seconds < PRIMER_SECONDS + NEW_SECONDS:
            continue
        midi = performance_to_midi(performance)
        found["pianist"].append(performance.notes)
        for kind, is_led in KINDS.items():
            found[kind].append(continued(session, midi, piece.path, is_led=is_led))
        waits = [f"{longest_wait(performances[-1]):.2f}" for performances in found.values()]
        sys.stderr.write(f"{piece.path}: {' '.join(waits)}\n")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"{arguments.store.stem}, {arguments.split}"] = {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "pieces": len(found["pianist"]),
        "quantiles": QUANTILES,
        "held seconds": HELD_SECONDS,
        **{kind: summary(performances) for kind, performances in found.items()},
        "made_with": {**made_with(), "decoder": session.decoder},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
