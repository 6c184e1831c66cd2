"""Is the distant past of a piece used, or only its length?

Events beyond position 8,192 of each long piece are scored three times with all that is near left
as it is: behind their own distant past, behind that of another piece, and behind none. What the
first is better by, paired by event, is what this piece's distant past tells.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.device import choose_device

RESULTS = Path(__file__).with_name("results.json")
CONTEXT, STRIDE = 8192, 256
Ids = npt.NDArray[np.int64]


@torch.inference_mode()
def nats_of_last(model: SequenceModel, window: Ids, targets: Ids) -> float:
    """Nats of the last `STRIDE` targets behind a window."""
    latents = min(model.latents, len(window))
    tokens, scored = (torch.from_numpy(ids).to(model.device) for ids in (window, targets))
    logits = model(tokens[None], num_latents=latents)[0, -len(targets) :]
    return float(F.cross_entropy(logits, scored, reduction="sum"))


def score_piece(
    model: SequenceModel, piece: Ids, other: Ids, near: int, most_windows: int
) -> dict[str, Any]:
    """Sums over some windows of a piece that lie beyond the first `CONTEXT` events."""
    ends = np.arange(CONTEXT + STRIDE, len(piece), STRIDE)
    if len(ends) > most_windows:
        ends = ends[np.linspace(0, len(ends) - 1, most_windows).round().astype(int)]
    sums = {"own": 0.0, "another": 0.0, "none": 0.0}
    for end in ends:
        window, targets = piece[end - CONTEXT : end], piece[end - STRIDE + 1 : end + 1]
        swapped = window.copy()
        swapped[:-near] = other[: CONTEXT - near]
        for name, tokens in (("own", window), ("another", swapped), ("none", window[-near:])):
            sums[name] += nats_of_last(model, tokens, targets)
    return {"events": len(ends) * STRIDE, **sums}


def main() -> None:
    """Score, and keep the result with the other likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--near", type=int, default=2048, help="events that are left as they are")
    parser.add_argument("--most-windows", type=int, default=8, help="of one piece")
    arguments = parser.parse_args()
    loaded = load_checkpoint(
        resolve_checkpoint(arguments.checkpoint), choose_device(arguments.device)
    )
    store = TokenStore.open(arguments.store)
    entries = [piece for piece in store.split(arguments.split) if piece.num_tokens > CONTEXT + 512]
    pieces = [with_bos_eos(store.ids(piece)) for piece in entries]
    rows = []
    for i, (entry, piece) in enumerate(zip(entries, pieces, strict=True)):
        # A piece of another title: the list is in the order of composers and takes.
        other = pieces[(i + len(pieces) // 2) % len(pieces)]
        row = score_piece(loaded.model, piece, other, arguments.near, arguments.most_windows)
        rows.append({"title": entry.title, **row})
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    counts = [row["events"] for row in rows]
    gains = {
        f"own_better_than_{name}": as_fields(
            weighted_mean_interval([row[name] - row["own"] for row in rows], counts)
        )
        for name in ("another", "none")
    }
    results = json.loads(RESULTS.read_text())
    results[f"{arguments.split}, far context"] = {
        "checkpoint": loaded.name,
        "checkpoint_sha256": loaded.sha256,
        "context": CONTEXT,
        "near": arguments.near,
        "pieces": len(rows),
        "events": sum(counts),
        **gains,
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
