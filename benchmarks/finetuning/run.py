"""Fine-tune on five pieces of a composer; score another one, and other composers."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import EncodedPiece, Piece, TokenStore, write_token_store
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.evaluation.likelihood import ScoringOptions, score_piece
from perceiver_music.jobs import train
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

RESULTS = Path(__file__).with_name("results.json")
NUM_PIECES, NUM_OTHERS = 5, 6


def one_of_each_title(store: TokenStore, composer: str) -> list[Piece]:
    """A composer's pieces in the validation split, the first recording of each title."""
    found: dict[str, Piece] = {}
    for piece in store.split("validation"):
        if piece.composer == composer:
            found.setdefault(piece.title, piece)
    return list(found.values())


def others(store: TokenStore, composer: str) -> list[Piece]:
    """The first piece of each of some other composers."""
    found: dict[str, Piece] = {}
    for piece in store.split("validation"):
        if piece.composer != composer:
            found.setdefault(piece.composer, piece)
    return list(found.values())[:NUM_OTHERS]


def write_own_store(store: TokenStore, pieces: list[Piece], check: Piece, path: Path) -> None:
    """A store as `preprocess` would make of these pieces: to learn from, and one to choose by."""
    rows = [
        EncodedPiece(
            title=piece.title,
            composer=piece.composer,
            split="validation" if piece is check else "train",
            path=piece.path,
            source_sha256=piece.source_sha256,
            seconds=piece.seconds,
            ids=store.ids(piece),
            notes=store.notes(piece),
        )
        for piece in [*pieces, check]
    ]
    write_token_store(
        path,
        rows,
        tokenizer_name=store.tokenizer_name,
        fingerprint=store.fingerprint,
        overwrite=False,
    )


def nats_per_event(checkpoint: str | None, store: TokenStore, pieces: list[Piece]) -> list[float]:
    """Of each piece, with the context that fine-tuning has."""
    model = load_checkpoint(resolve_checkpoint(checkpoint)).model
    options = ScoringOptions(context=2048, latents=model.latents, stride=model.latents // 2)
    return [float(score_piece(model, with_bos_eos(store.ids(p)), options).mean()) for p in pieces]


def main() -> None:
    """Train, score before and after, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--composer", default="Alexander Scriabin")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--max-minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    *pieces, check, held_back = one_of_each_title(store, arguments.composer)[: NUM_PIECES + 2]
    if len(pieces) < NUM_PIECES:
        parser.error(f"{arguments.composer} has too few titles in the validation split")
    asked = [held_back, *others(store, arguments.composer)]
    base = str(resolve_checkpoint(arguments.checkpoint))
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / "own.store"
        write_own_store(store, pieces, check, own)
        request = TrainRequest(
            data=own,
            output=Path(scratch) / "run",
            recipe="finetune",
            settings=tuple(arguments.settings),
            init=base,
            max_minutes=arguments.max_minutes,
            device="cpu",
        )
        report = train.run(request).as_json()
        before = nats_per_event(base, store, asked)
        after = nats_per_event(report["checkpoint"], store, asked)
    rows: list[dict[str, Any]] = [
        {"composer": p.composer, "title": p.title, "before": round(b, 4), "after": round(a, 4)}
        for p, b, a in zip(asked, before, after, strict=True)
    ]
    results = {
        "learned_from": [piece.title for piece in pieces],
        "held_back": rows[0],
        "others": rows[1:],
        "steps": report["step"],
        "settings": arguments.settings,
        "made_with": torch_made_with(),
    }
    sys.stderr.write(json.dumps(results, indent=2) + "\n")
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
