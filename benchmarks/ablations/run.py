"""One change at a time, for the same processor time: what does a short run gain by it?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.ablations.variants import BASE, VARIANTS, Variant
from benchmarks.clocked import seconds_a_step, train_once
from benchmarks.provenance import torch_made_with

RESULTS = Path(__file__).with_name("results.json")
BASE_STEPS = 350
VALIDATION_EVENTS = 500_000


def settings_of(variant: Variant, seed: int, *, validation_events: int) -> tuple[str, ...]:
    """All settings of one run over the recipe `maestro`; the last word on each counts."""
    last = (f"run.seed={seed}", f"run.validation_events={validation_events}")
    return (*BASE, *variant.settings, *last)


def steps_of(name: str, store: Path, folder: Path) -> int:
    """How many steps take as long as the base's; timed right after some of the base's."""
    variant = VARIANTS[name]
    if variant.costs_the_same:
        return BASE_STEPS
    kept = folder / "steps.json"
    if not kept.exists():
        seconds = [
            seconds_a_step(store, folder / part, settings_of(timed, 1, validation_events=1))
            for part, timed in (("base", VARIANTS["base"]), ("own", variant))
        ]
        kept.write_text(json.dumps(round(BASE_STEPS * seconds[0] / seconds[1])))
    return int(json.loads(kept.read_text()))


def run_of(name: str, seed: int, store: Path, runs: Path) -> dict[str, Any]:
    """The row of one run, trained if it is not yet."""
    folder = runs / name.replace(" ", "-").replace(",", "")
    done = folder / f"seed-{seed}.json"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with VARIANTS[name].patched():
            steps = steps_of(name, store, folder)
            settings = settings_of(VARIANTS[name], seed, validation_events=VALIDATION_EVENTS)
            report = train_once(store, folder / f"seed-{seed}", settings, max_steps=steps)
        row = {"steps": report["step"], "scored_events": report["loss_tokens"]}
        for split in ("train", "validation"):
            row[split] = round(report[f"{split}_nats_per_event"], 4)
        done.write_text(json.dumps(row))
    found: dict[str, Any] = json.loads(done.read_text())
    return found


def keep(name: str, seed: int, row: dict[str, Any]) -> None:
    """Put a row in its place; read again each time, as two may run side by side."""
    kept = json.loads(RESULTS.read_text())["variants"] if RESULTS.exists() else {}
    kept.setdefault(name, {})[f"seed {seed}"] = row
    in_order = {
        each: {"about": VARIANTS[each].question, **dict(sorted(kept[each].items()))}
        for each in VARIANTS
        if each in kept
    }
    result = {
        "base_steps": BASE_STEPS,
        "validation_events": VALIDATION_EVENTS,
        "variants": in_order,
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    """Train what is missing, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=Path, help="folder of all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.only:
            row = run_of(name, seed, arguments.store, arguments.runs)
            sys.stderr.write(f"{name}, seed {seed}: {json.dumps(row)}\n")
            keep(name, seed, row)


if __name__ == "__main__":
    main()
