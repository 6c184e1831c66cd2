"""Likelihood of MAESTRO splits under a checkpoint, by context or latents on request."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.provenance import torch_made_with
from perceiver_music.jobs import evaluate
from perceiver_music.jobs.evaluate_request import EvaluateRequest

RESULTS = Path(__file__).with_name("results.json")
CONTEXTS = (512, 1024, 2048, 4096, 8192, 16384)
LATENTS = (32, 64, 128, 256, 512, 1024)
KEPT = (
    "checkpoint",
    "checkpoint_sha256",
    "source_sha256",
    "pieces",
    "events",
    "nats_per_event",
    "nats_per_note",
    "nats_per_second",
    "context",
    "latents",
    "stride",
    "device",
    "threads",
)


def score(arguments: argparse.Namespace, **fields: Any) -> dict[str, Any]:
    """One evaluation with its interval over pieces; progress goes to stderr."""
    request = EvaluateRequest(
        data=arguments.store,
        checkpoint=arguments.checkpoint,
        split=arguments.split,
        device=arguments.device,
        **fields,
    )
    result = evaluate.run(request)
    found = result.as_json()
    sums = [float(np.sum(piece.nats)) for piece in result.pieces]
    interval = weighted_mean_interval(sums, [piece.events for piece in result.pieces])
    sys.stderr.write(
        f"context {found['context']}, latents {found['latents']}: {found['nats_per_event']:.4f}\n"
    )
    return {**{key: found[key] for key in KEPT}, "interval_over_pieces": as_fields(interval)}


def measure(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The name and the content of one entry of the results."""
    if arguments.by_context is not None:
        pieces = arguments.by_context
        rows = [score(arguments, context=context, max_pieces=pieces) for context in CONTEXTS]
        return f"{arguments.split}, first {pieces} pieces, by context", {"rows": rows}
    if arguments.by_latents is not None:
        pieces = arguments.by_latents
        rows = [score(arguments, latents=latents, max_pieces=pieces) for latents in LATENTS]
        return f"{arguments.split}, first {pieces} pieces, by latents", {"rows": rows}
    name = arguments.name or arguments.split
    if arguments.max_pieces is not None:
        name += f", first {arguments.max_pieces} pieces"
    return name, score(arguments, max_pieces=arguments.max_pieces)


def main() -> None:
    """Score, and keep the result under its name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--name", default=None, help="of the result; the split if not given")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--max-pieces", type=int, default=None, help="the split's first so many")
    parser.add_argument("--by-context", type=int, metavar="PIECES", default=None)
    parser.add_argument("--by-latents", type=int, metavar="PIECES", default=None)
    arguments = parser.parse_args()
    name, entry = measure(arguments)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = {**entry, "made_with": torch_made_with()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
