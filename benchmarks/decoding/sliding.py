"""What `--policy slide` costs in nats of real events, paired by event, and gains in time."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decoding.precision import nats_by_decoding
from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.decoding import POLICIES, load_decoder

RESULTS = Path(__file__).with_name("sliding.json")


def main() -> None:
    """Score with each policy, compare, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--pieces", type=int, default=6, help="of validation, spread evenly")
    parser.add_argument("--events", type=int, default=6000, help="the first so many of each")
    parser.add_argument("--contexts", type=int, nargs="+", default=[1024, 8192])
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    split = store.split("validation")
    chosen = np.linspace(0, len(split) - 1, arguments.pieces).round().astype(int)
    pieces = [with_bos_eos(store.ids(split[i]))[: arguments.events] for i in chosen]
    path = resolve_checkpoint(arguments.checkpoint)
    rows: list[dict[str, Any]] = []
    for context in arguments.contexts:
        scores, seconds = {}, {}
        for policy in POLICIES:
            loaded = load_decoder(path, device="cpu", decoder="int8", policy=policy)
            started = time.process_time()
            scores[policy] = [nats_by_decoding(loaded, piece, context=context) for piece in pieces]
            seconds[policy] = time.process_time() - started
        costs = [
            float((slide - exact).sum())
            for exact, slide in zip(scores["exact"], scores["slide"], strict=True)
        ]
        sizes = [len(nats) for nats in scores["exact"]]
        cost = as_fields(weighted_mean_interval(costs, sizes))
        rows.append(
            {
                "context": context,
                "events": sum(sizes),
                "exact_nats_per_event": round(float(np.concatenate(scores["exact"]).mean()), 5),
                "slide_costs": cost,
                "times_as_fast": round(seconds["exact"] / seconds["slide"], 2),
            }
        )
    results = {
        "checkpoint": loaded.name,
        "checkpoint_sha256": loaded.sha256,
        "pieces": len(pieces),
        "rows": rows,
        "seconds_are": "processor time, reading the pieces' events one by one",
        "made_with": made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
