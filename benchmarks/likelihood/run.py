"""Likelihood of MAESTRO splits under a checkpoint, by context length on request."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.provenance import torch_made_with
from perceiver_music.jobs import evaluate
from perceiver_music.jobs.evaluate import EvaluateRequest

RESULTS = Path(__file__).with_name("results.json")
CONTEXTS = (512, 1024, 2048, 4096, 8192)
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
    "threads",
)


def score(arguments: argparse.Namespace, **fields: Any) -> dict[str, Any]:
    """One evaluation; progress goes to stderr."""
    request = EvaluateRequest(
        data=arguments.store,
        checkpoint=arguments.checkpoint,
        split=arguments.split,
        device="cpu",
        **fields,
    )
    found = evaluate.run(request).as_json()
    sys.stderr.write(f"context {found['context']}: {found['nats_per_event']:.4f}\n")
    return {key: found[key] for key in KEPT}


def main() -> None:
    """Score, and keep the result under its name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--max-pieces", type=int, default=None, help="the split's first so many")
    parser.add_argument("--by-context", type=int, metavar="PIECES", default=None)
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.by_context is None:
        name = arguments.split
        if arguments.max_pieces is not None:
            name += f", first {arguments.max_pieces} pieces"
        entry = score(arguments, max_pieces=arguments.max_pieces)
    else:
        name = f"{arguments.split}, first {arguments.by_context} pieces, by context"
        rows = [
            score(arguments, context=context, max_pieces=arguments.by_context)
            for context in CONTEXTS
        ]
        entry = {"rows": rows}
    entry["made_with"] = torch_made_with()
    results[name] = entry
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
