"""One change at a time, for the same processor time: what does a short run gain by it?"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from benchmarks.ablations.variants import BASE, VARIANTS, Variant
from benchmarks.clocked import seconds_a_step, train_once
from benchmarks.provenance import processor_name, torch_made_with

RESULTS = Path(__file__).with_name("results.json")
STEPS = Path(__file__).with_name("steps.json")
BASE_STEPS = 350
VALIDATION_EVENTS = 500_000


def settings_of(variant: Variant, seed: int, *, validation_events: int) -> tuple[str, ...]:
    """All settings of one run over the recipe `maestro`; the last word on each counts."""
    last = (f"run.seed={seed}", f"run.validation_events={validation_events}")
    return (*BASE, *variant.settings, *last)


def time_steps(names: list[str], store: Path, runs: Path) -> None:
    """How many steps take a core as long as the base's; timed right after some of the base's."""
    for name in names:
        if VARIANTS[name].costs_the_same or VARIANTS[name].later or name in steps_of_all():
            continue
        seconds = []
        for part in ("base", name):
            with VARIANTS[part].patched():
                settings = settings_of(VARIANTS[part], 1, validation_events=1)
                folder = runs / "timing" / _folder_name(name) / _folder_name(part)
                seconds.append(seconds_a_step(store, folder, settings))
        kept = {**steps_of_all(), name: round(BASE_STEPS * seconds[0] / seconds[1])}
        in_order = {each: kept[each] for each in VARIANTS if each in kept}
        STEPS.write_text(json.dumps(in_order, indent=2) + "\n")
        sys.stderr.write(f"{name}: {kept[name]} steps\n")


def steps_of(name: str) -> int:
    """How many steps a variant gets."""
    variant = VARIANTS[name]
    if variant.costs_the_same:
        return BASE_STEPS
    if variant.later is None:
        return steps_of_all()[name]
    first, other = variant.later
    return first + round((BASE_STEPS - first) * steps_of(other) / BASE_STEPS)


def steps_of_all() -> dict[str, int]:
    """Of each variant whose step was timed."""
    found: dict[str, int] = json.loads(STEPS.read_text()) if STEPS.exists() else {}
    return found


def _folder_name(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def run_of(name: str, seed: int, store: Path, runs: Path, device: str) -> dict[str, Any]:
    """The row of one run, trained if it is not yet."""
    variant = VARIANTS[name]
    folder = runs / _folder_name(name)
    done = folder / f"seed-{seed}.json"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        settings = settings_of(variant, seed, validation_events=VALIDATION_EVENTS)
        with variant.patched():
            report = train_once(
                store, folder / f"seed-{seed}", settings, max_steps=steps_of(name), device=device
            )
        row = {"steps": report["step"], "scored_events": report["loss_tokens"]}
        for split in ("train", "validation"):
            row[split] = round(report[f"{split}_nats_per_event"], 4)
        done.write_text(json.dumps(row))
    found: dict[str, Any] = json.loads(done.read_text())
    return found


def keep(name: str, seed: int, row: dict[str, Any], device: str) -> None:
    """Put a row in its place."""
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
        "trained_on": torch.cuda.get_device_name() if device == "cuda" else processor_name(),
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    """Time what must be timed, or train what is missing and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=Path, help="folder of all runs")
    parser.add_argument("--time-steps", action="store_true", help="write steps.json, train nothing")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    arguments = parser.parse_args()
    if arguments.time_steps:
        time_steps(arguments.only, arguments.store, arguments.runs)
        return
    # Each in processes of its own: what a variant patches is nobody else's.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        jobs = {
            pool.submit(run_of, name, seed, arguments.store, arguments.runs, arguments.device): (
                name,
                seed,
            )
            for seed in arguments.seeds
            for name in arguments.only
        }
        for job in as_completed(jobs):
            name, seed = jobs[job]
            sys.stderr.write(f"{name}, seed {seed}: {json.dumps(job.result())}\n")
            keep(name, seed, job.result(), arguments.device)


if __name__ == "__main__":
    main()
