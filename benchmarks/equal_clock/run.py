"""Train each model for the same processor time, and score all on the same validation pieces."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clocked import seconds_a_step, train_once
from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import with_bos_eos
from perceiver_music.evaluation.likelihood import ScoringOptions, score_piece
from perceiver_music.model.checkpoint import load_checkpoint

RESULTS = Path(__file__).with_name("results.json")
CONTEXTS = (512, 1024, 2048, 4096)

_SHAPE = "width=320, num_heads=5"
_COMMON = (
    "windows.infill_share=0.0",
    "run.windows_per_pass=8",
    "run.ema_decay=0.0",
    "run.validate_every=100000",
    "run.log_every=20",
    "run.checkpoint_every=200",
    "schedule.decay_share=0.5",
)


def _decoder(architecture: str, window: int, extra: str = "") -> tuple[str, ...]:
    """Settings of a model that scores every position of its windows."""
    return (
        f"model.architecture={architecture}",
        "model.counts_events=false",
        f"model.settings={{{_SHAPE}, num_layers=8, context={window}{extra}}}",
        f"windows.contexts=[[0, {window}]]",
        f"windows.latents={window}",
        f"windows.windows_per_step={8192 // window}",
    )


def _perceiver(preset: str, shape: str, *, counts: bool) -> tuple[str, ...]:
    """Settings of a Perceiver AR that scores the last 512 positions of its windows."""
    return (
        f"model.preset={preset}",
        f"model.counts_events={'true' if counts else 'false'}",
        f"model.settings={{{shape}, context=2048, latents=512}}",
        "windows.contexts=[[0, 1024], [300, 2048]]",
        "windows.latents=512",
        "windows.windows_per_step=16",
    )


_TIMED_BLOCK = "block={rotary_fraction=0.25, time_rotary_fraction=0.25}"
MODELS: dict[str, tuple[str, ...]] = {
    "ours": _perceiver(
        "modern", f"{_SHAPE}, num_layers=6, neighbour_keys=true, {_TIMED_BLOCK}", counts=True
    ),
    "ours without counted events": _perceiver("modern", f"{_SHAPE}, num_layers=7", counts=False),
    "Perceiver AR as published": _perceiver("paper", f"{_SHAPE}, num_layers=7", counts=False),
    "Transformer, 1,024": _decoder("transformer", 1024),
    "Transformer, 2,048": _decoder("transformer", 2048),
    "Transformer-XL": _decoder("transformer_xl", 1024, ", segment=512, memory=512"),
}


def steps_in(store: Path, folder: Path, settings: tuple[str, ...], minutes: float) -> int:
    """How many steps a model takes in so many minutes of one core."""
    kept = folder / "steps.json"
    if not kept.exists():
        step = seconds_a_step(store, folder, (*settings, "run.seed=1"))
        sys.stderr.write(f"{folder.name}: {step:.2f} s a step\n")
        kept.write_text(json.dumps(int(minutes * 60 / step)))
    return int(json.loads(kept.read_text()))


def score(store: TokenStore, checkpoint: Path, first: int, last: int) -> dict[str, Any]:
    """Validation pieces `first` to `last`, with the context that is best on those before."""
    model = load_checkpoint(checkpoint).model
    pieces = [with_bos_eos(store.ids(piece)) for piece in store.split("validation")]

    def nats(which: list[np.ndarray], context: int) -> list[np.ndarray]:
        latents = min(model.latents, context)
        options = ScoringOptions(context=context, latents=latents, stride=latents // 2)
        return [score_piece(model, piece, options) for piece in which]

    chosen = min(
        (float(np.concatenate(nats(pieces[:first], c)).mean()), c)
        for c in CONTEXTS
        if model.latents <= c or c == CONTEXTS[0]
    )[1]
    found = nats(pieces[first:last], chosen)
    interval = weighted_mean_interval([n.sum() for n in found], [len(n) for n in found])
    return {
        "parameters": model.num_parameters,
        "context": chosen,
        "events": sum(map(len, found)),
        "nats_per_event": as_fields(interval),
    }


def keep(name: str, seed: int, row: dict[str, Any]) -> None:
    """Put a row in its place; read again each time, as two may run side by side."""
    models = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else {}
    models.setdefault(name, {})[f"seed {seed}"] = row
    in_order = {name: dict(sorted(models[name].items())) for name in MODELS if name in models}
    results = {"models": in_order, "made_with": torch_made_with()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> None:
    """Train what is missing, score all, keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=Path, help="folder of all runs")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    for name in arguments.only:
        for seed in arguments.seeds:
            folder = arguments.runs / name.replace(" ", "-").replace(",", "")
            settings = (*_COMMON, *MODELS[name])
            steps = steps_in(arguments.store, folder, settings, arguments.minutes)
            run = folder / f"seed-{seed}"
            if not (run / "done").exists():
                start = time.process_time()
                report = train_once(
                    arguments.store, run, (*settings, f"run.seed={seed}"), max_steps=steps
                )
                # Of the last sitting alone, where a run had several.
                report["processor_minutes"] = round((time.process_time() - start) / 60, 1)
                (run / "done").write_text(json.dumps(report))
            report = json.loads((run / "done").read_text())
            row = {
                "steps": report["step"],
                "loss_tokens": report["loss_tokens"],
                "minutes": arguments.minutes,
                "processor_minutes": report["processor_minutes"],
                **score(store, run / "checkpoint", 5, 30),
            }
            sys.stderr.write(f"{name}, seed {seed}: {json.dumps(row)}\n")
            keep(name, seed, row)


if __name__ == "__main__":
    main()
