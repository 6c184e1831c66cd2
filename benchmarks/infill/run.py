"""What the music after a gap is worth to a model that fills it: nats per event of its middle."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.openings import spread
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import Piece, TokenStore
from perceiver_music.generation.infill import gap_latents, most_after, share_room
from perceiver_music.model.checkpoint import LoadedCheckpoint, load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.device import choose_device
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import END, Gap, Ids, length_ids, prompt_ids, take_apart
from perceiver_music.tokenizer.performance_events import steps_before

RESULTS = Path(__file__).with_name("results.json")
SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 15.0
BOTH = "left and right"
ALONE = "left alone"
FEWER_LATENTS = "left alone, with the latents of a continuation"
SAME_LEFT = "left alone, as much of it as beside the right"
WRONG = "left and another piece's right"
NUM_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class PieceGap:
    """A gap of a piece, its middle no longer than what is scored."""

    piece: Piece
    gap: Gap


def draw_gap(store: TokenStore, piece: Piece, rng: np.random.Generator) -> PieceGap | None:
    """A gap of 5 to 15 s with music before and after it; None where the piece has no room."""
    ids = store.ids(piece).astype(np.int64)
    num_steps = int(steps_before(ids)[-1])
    length = round(100 * rng.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
    if num_steps < 3 * length:
        return None
    first = int(rng.integers(length, num_steps - 2 * length))
    return PieceGap(piece=piece, gap=take_apart(ids, first, first + length))


def windows(found: PieceGap, other: PieceGap, *, context: int, latents: int) -> dict[str, Ids]:
    """The whole sequence, prompt and true middle, with each of the sides."""
    gap = found.gap
    middle = np.append(gap.middle, END)
    room = context + 1 - len(middle) - 2 - len(length_ids(gap.num_steps))
    left = np.append(v.BOS, gap.before)
    most = most_after(gap_latents(latents))
    beside, right = share_room(left, gap.after, room, most)
    nothing = right[:0]
    sides = {
        BOTH: (beside, right),
        ALONE: (left[max(0, len(left) - room) :], nothing),
        SAME_LEFT: (beside, nothing),
        WRONG: share_room(left, other.gap.after, room, most),
    }
    return {
        name: np.concatenate((prompt_ids(before, after, gap.num_steps), middle))
        for name, (before, after) in sides.items()
    }


@torch.inference_mode()
def nats(loaded: LoadedCheckpoint, sequence: Ids, num_scored: int, most: int) -> float:
    """Nats per event of the last tokens, scored in one pass with at most `most` latents."""
    tokens = torch.as_tensor(sequence, dtype=torch.int64, device=loaded.model.device)
    # As many as a decode has at the end of the middle, which starts with half of all it may have.
    num_latents = min(max(num_scored, min(most, most // 2 + num_scored - 1)), len(sequence) - 1)
    logits = loaded.model(tokens[None, :-1], num_latents=num_latents)[0].float()
    return float(F.cross_entropy(logits[-num_scored:], tokens[-num_scored:]))


def interval(differences: np.ndarray) -> list[float]:
    """95 per cent of the means over pieces drawn again and again."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(differences, size=(NUM_RESAMPLES, len(differences))).mean(axis=1)
    return [round(float(edge), 4) for edge in np.percentile(drawn, (2.5, 97.5))]


def gain(rows: list[dict[str, Any]], one: str, over: str) -> dict[str, Any]:
    """How many nats per event fewer, paired by piece."""
    differences = np.array([row[over] - row[one] for row in rows])
    return {"gain": round(float(differences.mean()), 4), "95%": interval(differences)}


def score_pieces(arguments: argparse.Namespace, loaded: LoadedCheckpoint) -> list[dict[str, Any]]:
    """One row a piece; the other piece's right side is that of the piece before it."""
    store = TokenStore.open(arguments.store)
    rng = np.random.default_rng(arguments.seed)
    drawn = [
        draw_gap(store, piece, rng)
        for piece in spread(store.split(arguments.split), arguments.pieces)
    ]
    gaps = [found for found in drawn if found is not None]
    context = min(loaded.context, arguments.context or loaded.context)
    rows = []
    for index, found in enumerate(gaps):
        num_scored = len(found.gap.middle) + 1
        row: dict[str, Any] = {
            "piece": found.piece.path,
            "seconds": found.gap.num_steps / 100,
            "events": num_scored,
        }
        own = loaded.latents
        sequences = windows(found, gaps[index - 1], context=context, latents=own)
        for side, sequence in sequences.items():
            row[side] = round(nats(loaded, sequence, num_scored, gap_latents(own)), 5)
        row[FEWER_LATENTS] = round(nats(loaded, sequences[ALONE], num_scored, own), 5)
        rows.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
    return rows


def main() -> None:
    """Score, compare in pairs, and keep the result under the split's name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pieces", type=int, default=60)
    parser.add_argument("--context", type=int, default=None, help="less than the checkpoint's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    loaded = load_checkpoint(
        resolve_checkpoint(arguments.checkpoint), choose_device(arguments.device)
    )
    rows = score_pieces(arguments, loaded)
    sides = (BOTH, ALONE, FEWER_LATENTS, SAME_LEFT, WRONG)
    means = {side: round(float(np.mean([row[side] for row in rows])), 4) for side in sides}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[arguments.split] = {
        "checkpoint": loaded.name,
        "checkpoint_sha256": loaded.sha256,
        "context": min(loaded.context, arguments.context or loaded.context),
        "pieces": len(rows),
        "events": sum(row["events"] for row in rows),
        "nats_per_event": means,
        "gain_of_left_and_right_over": {side: gain(rows, BOTH, side) for side in sides[1:]},
        "gain_of_another_pieces_right_over_left_alone": gain(rows, WRONG, ALONE),
        "made_with": torch_made_with(),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
