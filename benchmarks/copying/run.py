"""Whether `check` finds copies of the training set, cries wolf, and how long it takes."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.evaluation.novelty import Passage, PassageIndex
from perceiver_music.evaluation.passage_index_file import (
    TrainingPassages,
    read_passages,
    write_passages,
)
from perceiver_music.jobs.passages import INDEX_FILE, expected_shared, index_of
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NoteArray, Performance

RESULTS = Path(__file__).with_name("results.json")
HOST_NOTES = 600
LENGTHS = (30, 60, 120)
JITTER_US = 10_000
CONTROLS = 100


def changed(copy: NoteArray, kind: str, rng: np.random.Generator) -> tuple[NoteArray, int]:
    """A passage as it is planted, and its transposition."""
    copy = copy.copy()
    start = (copy["start_us"] - copy["start_us"][0]).astype(np.float64)
    shift = 0
    if "transposed" in kind:
        low, high = int(copy["pitch"].min()), int(copy["pitch"].max())
        room = [s for s in range(-6, 7) if s and low + s >= 21 and high + s <= 108]
        shift = int(rng.choice(room)) if room else 0
    if "stretched" in kind:
        start *= 1.1
    if "shortened" in kind:
        start /= 1.1
    if "jittered" in kind:
        start = np.maximum(0, start + rng.integers(-JITTER_US, JITTER_US + 1, len(start)))
    copy["pitch"] = (copy["pitch"].astype(int) + shift).astype(np.uint8)
    copy["start_us"] = start.astype(np.int64)
    return copy[np.lexsort((copy["pitch"], copy["start_us"]))], shift


def planted(host: NoteArray, copy: NoteArray) -> tuple[NoteArray, float]:
    """A copy put into the middle of other music, and the second at which it begins."""
    host, copy = host.copy(), copy.copy()
    half = len(host) // 2
    host["start_us"] -= host["start_us"][0]
    begin = int(host["start_us"][half - 1]) + 200_000
    copy["start_us"] += begin
    host["start_us"][half:] += int(copy["start_us"][-1]) + 200_000 - int(host["start_us"][half])
    whole = np.concatenate((host[:half], copy, host[half:]))
    whole["end_us"] = whole["start_us"] + 100_000
    return whole, begin / 1e6


def excerpts(store: TokenStore, rng: np.random.Generator, number: int) -> Iterator[NoteArray]:
    """Music that nobody trained on."""
    pieces = [p for p in store.split("test") if p.num_notes > HOST_NOTES]
    for _ in range(number):
        notes = store.notes(pieces[rng.integers(len(pieces))])
        first = int(rng.integers(0, len(notes) - HOST_NOTES))
        yield notes[first : first + HOST_NOTES]


def recall(store: TokenStore, index: PassageIndex, number: int) -> list[dict[str, Any]]:
    """Planted copies of each kind and length: found where they are, and how much of each."""
    train = [p for p in store.split("train") if p.num_notes]
    kinds = ("exact", "transposed", "stretched", "transposed and shortened", "jittered")
    rows = []
    for kind in kinds:
        for length in LENGTHS:
            rng = np.random.default_rng((length, kinds.index(kind)))
            shares: list[float] = []
            num_found = num_lost = num_named = 0
            for host in excerpts(store, rng, number):
                piece = int(rng.integers(len(train)))
                notes = store.notes(train[piece])
                if len(notes) < length:
                    notes = store.notes(train[piece := 0])
                first = int(rng.integers(0, len(notes) - length + 1))
                copy, _ = changed(notes[first : first + length], kind, rng)
                query, begin = planted(host, copy)
                passage = index.longest_shared(query)
                end = begin + int(copy["start_us"][-1]) / 1e6
                is_found = _overlap(passage, begin, end) > 0.5
                num_found += is_found
                # The host shares a passage as long as the copy anyway.
                num_lost += not is_found and passage.num_notes >= length
                num_named += passage.piece == piece
                shares.append(passage.num_notes / length)
            rows.append(
                {
                    "kind": kind,
                    "notes": length,
                    "planted": number,
                    "found": num_found,
                    "lost_to_a_passage_as_long": num_lost,
                    "same_piece_named": num_named,
                    "median_share_of_its_notes": round(statistics.median(shares), 3),
                    "least_share_of_its_notes": round(min(shares), 3),
                }
            )
            sys.stderr.write(f"{rows[-1]}\n")
    return rows


def _overlap(passage: Passage, begin: float, end: float) -> float:
    """How much of the passage that was found lies in the copy."""
    first, length = passage.query_seconds
    return (min(end, first + length) - max(begin, first)) / max(length, 1e-9)


def controls(store: TokenStore, index: PassageIndex, training: TrainingPassages) -> dict[str, Any]:
    """What is not copied: unseen music, and pieces of the training set with their notes shuffled.

    A shuffled control has a training passage's own pitches and onsets, in a random order.
    """
    rng = np.random.default_rng(5)
    unseen = list(excerpts(store, rng, CONTROLS))
    train = [p for p in store.split("train") if p.num_notes >= HOST_NOTES]
    shuffled = []
    for _ in range(CONTROLS):
        notes = store.notes(train[rng.integers(len(train))])[:HOST_NOTES].copy()
        rng.shuffle(notes["pitch"])
        shuffled.append(notes)
    expected = expected_shared(training.unseen, HOST_NOTES)
    assert expected is not None
    result: dict[str, Any] = {"notes": HOST_NOTES, "alarm_above": expected["p95"]}
    for name, queries in (("unseen_real_music", unseen), ("shuffled_training_pieces", shuffled)):
        lengths = [index.longest_shared(query).num_notes for query in queries]
        result[name] = {
            "excerpts": len(lengths),
            "median_notes": statistics.median(lengths),
            "longest_notes": max(lengths),
            "alarms": sum(length > expected["p95"] for length in lengths),
        }
    return result


def seconds(work: Any) -> tuple[Any, dict[str, float]]:
    """What a call gives, and the time it takes: on the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    value = work()
    return value, {
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def process(store: TokenStore) -> dict[str, float]:
    """One file checked by a fresh process, with the bundled index: the median of five."""
    piece = next(p for p in store.split("test") if p.num_notes > 4_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mid"
        path.write_bytes(performance_to_midi(Performance(notes=store.notes(piece)[:4_000])))
        command = [sys.executable, "-m", "perceiver_music", "check", str(path), "--json"]
        rows = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _, taken = seconds(
                lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows.append((taken["seconds"], spent))
    return {
        "notes": 4_000,
        "seconds": round(statistics.median(row[0] for row in rows), 3),
        "processor_seconds": round(statistics.median(row[1] for row in rows), 3),
    }


def main() -> None:
    """Run all, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="MAESTRO v3, preprocessed")
    parser.add_argument("--planted", type=int, default=100, help="copies of each kind and length")
    arguments = parser.parse_args()
    load = os.getloadavg()
    store = TokenStore.open(arguments.store)
    training, indexing = seconds(lambda: index_of(arguments.store))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / INDEX_FILE
        write_passages(path, training, overwrite=False)
        size = path.stat().st_size
        read, reading = seconds(lambda: read_passages(path))
    index, preparing = seconds(lambda: PassageIndex(read.text))
    host = next(excerpts(store, np.random.default_rng(1), 1))
    _, one = seconds(lambda: index.longest_shared(host))
    results = {
        "training_set": {"pieces": index.num_pieces, "notes": len(read.text)},
        "index": {
            **indexing,
            "bytes": size,
            "bundled_bytes": os.path.getsize(resolve_checkpoint() / INDEX_FILE),  # noqa: PTH202
        },
        "check": {
            "read_index": reading,
            "prepare": preparing,
            f"search_{HOST_NOTES}_notes": one,
            "whole_process": process(store),
        },
        "unseen": list(read.unseen),
        "copies": recall(store, index, arguments.planted),
        "controls": controls(store, index, read),
        "made_with": {
            **made_with(),
            "load_average_at_start": round(load[0], 2),
            "load_average_at_end": round(os.getloadavg()[0], 2),
        },
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
