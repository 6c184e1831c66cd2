"""Made minutes beside the real ones: figures, distributions, a two-sample test, copying."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.musicality.made_pieces import Continued, continued_pieces, notes_of
from benchmarks.musicality.make import make
from benchmarks.musicality.two_sample import excerpts_of, tell_apart
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.evaluation.novelty import PassageIndex
from perceiver_music.evaluation.statistics import (
    inter_onset_seconds,
    music_statistics,
    overlapping_area,
    pitch_class_histogram,
)
from perceiver_music.music.key import key_fits
from perceiver_music.music.performance import MICROSECONDS, NoteArray

RESULTS = Path(__file__).with_name("results.json")
FIGURES = (
    "notes_per_second",
    "polyphony",
    "pitch_class_entropy",
    "velocity_mean",
    "velocity_spread",
    "repeated_share",
    "longest_silence",
    "longest_loop",
)
SILENT_NOTES, STUCK_SECONDS = 5, 20.0
TIME_EDGES = np.concatenate(([0], np.geomspace(0.01, 4, 30), [1e4]))


def quartiles(values: list[float]) -> list[float]:
    """The middle half and its median."""
    return [round(float(value), 4) for value in np.quantile(values, (0.25, 0.5, 0.75))]


def figures(pieces: list[Continued]) -> dict[str, Any]:
    """Statistics of both kinds, quartiles over pieces."""
    found: dict[str, Any] = {}
    kinds = {"real": [p.real for p in pieces], "made": [p.made for p in pieces if len(p.made)]}
    for kind, performances in kinds.items():
        rows = [asdict(music_statistics(notes)) for notes in performances]
        found[kind] = {name: quartiles([row[name] for row in rows]) for name in FIGURES}
    return found


def key_agreement(one: NoteArray, other: NoteArray) -> float:
    """Correlation of how well the 24 keys fit both."""
    fits = [key_fits(pitch_class_histogram(notes)) for notes in (one, other)]
    return float(np.corrcoef(*fits)[0, 1])


def broken(pieces: list[Continued]) -> dict[str, int]:
    """Outputs that no one would call music."""
    sounding = [piece.made for piece in pieces if len(piece.made) >= SILENT_NOTES]
    return {
        "silent": len(pieces) - len(sounding),
        "one_note": sum(len(np.unique(notes["pitch"])) <= 2 for notes in sounding),
        "stuck": sum(music_statistics(n).longest_loop > STUCK_SECONDS for n in sounding),
    }


def distributions(pieces: list[Continued]) -> dict[str, float]:
    """Overlapping areas, all notes of all pieces together."""
    real, made = ([getattr(p, kind) for p in pieces] for kind in ("real", "made"))

    def lengths(performances: list[NoteArray]) -> np.ndarray:
        return np.concatenate([(n["end_us"] - n["start_us"]) / MICROSECONDS for n in performances])

    pairs = {
        "velocity": [np.concatenate([n["velocity"] for n in kind]) for kind in (real, made)],
        "inter_onset": [
            np.concatenate([inter_onset_seconds(n) for n in kind if len(n)])
            for kind in (real, made)
        ],
        "duration": [lengths(kind) for kind in (real, made)],
        "pitch": [np.concatenate([n["pitch"] for n in kind]) for kind in (real, made)],
    }
    edges = {"velocity": np.arange(0, 129, 4), "pitch": np.arange(21, 110)}
    return {
        name: round(overlapping_area(*pair, edges.get(name, TIME_EDGES)), 4)
        for name, pair in pairs.items()
    }


def copying(store: TokenStore, pieces: list[Continued]) -> dict[str, Any]:
    """Notes of the longest passage shared with a training piece, made beside real."""
    index = PassageIndex.of(notes_of(store, piece) for piece in store.split("train"))
    found = {}
    for kind in ("real", "made"):
        found[kind] = [index.longest_shared(getattr(piece, kind)).num_notes for piece in pieces]
    summary: dict[str, Any] = {
        kind: {"quartiles": quartiles(counts), "most": max(counts)}
        for kind, counts in found.items()
    }
    summary["made_longer_than_any_real"] = sum(n > max(found["real"]) for n in found["made"])
    return summary


def describe(store: TokenStore, pieces: list[Continued], seconds: float) -> dict[str, Any]:
    """All figures."""
    whole = [piece for piece in pieces if len(piece.made) >= SILENT_NOTES and len(piece.real) > 1]
    return {
        "pieces": len(pieces),
        "broken": broken(pieces),
        "figures": figures(whole),
        "key_agreement_with_primer": {
            kind: quartiles([key_agreement(p.primer, getattr(p, kind)) for p in whole])
            for kind in ("real", "made")
        },
        "overlapping_area": distributions(whole),
        "two_sample": tell_apart(excerpts_of(whole, seconds)),
        "longest_shared_with_training": copying(store, whole),
    }


def main() -> None:
    """Make what is missing, measure, and keep the result under the checkpoint's name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("folder", type=Path, help="of the outputs; one a checkpoint")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--name", default="bundled", help="of the result")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    sha256 = make(
        store,
        arguments.split,
        arguments.folder,
        checkpoint=arguments.checkpoint,
        seconds=arguments.seconds,
    )
    pieces = list(continued_pieces(store, arguments.split, arguments.folder, arguments.seconds))
    entry = {
        "checkpoint_sha256": sha256,
        **describe(store, pieces, arguments.seconds),
        "made_with": torch_made_with(),
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"{arguments.split}, {arguments.name}"] = entry
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
