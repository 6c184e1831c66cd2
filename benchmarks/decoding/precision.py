"""What int8 weights cost: nats of real events under both native precisions, paired by event."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.decoding import LoadedDecoder, load_decoder

RESULTS = Path(__file__).with_name("precision.json")


def nats_by_decoding(
    loaded: LoadedDecoder, piece: npt.NDArray[np.int64], *, context: int | None = None
) -> npt.NDArray[np.float64]:
    """Nats of each token of a piece but its first, as a decode predicts them."""
    tokens = [int(token) for token in piece]
    state = loaded.model.begin(tokens[:1], context=context)
    found = []
    for token in tokens[1:]:
        logits = np.asarray(state.logits, dtype=np.float64)
        top = logits.max()
        found.append(top + np.log(np.exp(logits - top).sum()) - logits[token])
        loaded.model.advance(state, token)
    return np.array(found)


def main() -> None:
    """Score, compare, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--pieces", type=int, default=6, help="of validation, spread evenly")
    parser.add_argument("--events", type=int, default=3000, help="the first so many of each")
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    split = store.split("validation")
    chosen = np.linspace(0, len(split) - 1, arguments.pieces).round().astype(int)
    pieces = [with_bos_eos(store.ids(split[i]))[: arguments.events] for i in chosen]
    path = resolve_checkpoint(arguments.checkpoint)
    scores = {}
    for precision in ("int8", "fp32"):
        loaded = load_decoder(path, device="cpu", decoder=precision)
        if not loaded.engine.startswith("native"):
            parser.error("the native library is not there")
        scores[precision] = np.concatenate([nats_by_decoding(loaded, p) for p in pieces])
    difference = scores["int8"] - scores["fp32"]
    results = {
        "checkpoint": loaded.name,
        "checkpoint_sha256": loaded.sha256,
        "events": len(difference),
        "fp32_nats_per_event": round(float(scores["fp32"].mean()), 5),
        "int8_costs": round(float(difference.mean()), 5),
        "standard_error": round(float(difference.std() / np.sqrt(len(difference))), 5),
        "kernel": loaded.kernel,
        "made_with": made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
