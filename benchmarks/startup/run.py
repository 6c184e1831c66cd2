"""Time what a shell waits for: `--help`, and a short continuation from nothing to its file."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.provenance import torch_made_with

RESULTS = Path(__file__).with_name("results.json")
CHECKOUT = Path(__file__).resolve().parents[2]
PRIMER = CHECKOUT / "data" / "primers" / "bach_prelude_c_major.mid"
ROUNDS = 9

_PROGRAM = ("-m", "perceiver_music")
COMMANDS: dict[str, tuple[str, ...]] = {
    "an empty interpreter": ("-c", "pass"),
    "import typer": ("-c", "import typer"),
    "import torch": ("-c", "import torch"),
    "--help": (*_PROGRAM, "--help"),
    "continue --help": (*_PROGRAM, "continue", "--help"),
    "continue --length 256": (
        *_PROGRAM,
        *("continue", os.fspath(PRIMER), "--length", "256", "--seed", "1"),
        *("--quiet", "--force", "-o", "continued.mid"),
    ),
}


def timed(words: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processor that a fresh interpreter takes."""
    environment = {**os.environ, "PYTHONPATH": os.fspath(CHECKOUT), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, spent


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for words in COMMANDS.values():  # so that all is compiled and cached
            timed(words, Path(folder))
        for _ in range(arguments.rounds):
            for name, words in COMMANDS.items():
                found[name].append(timed(words, Path(folder)))
    rows: dict[str, dict[str, float]] = {
        name: {
            "wall_seconds": round(statistics.median(wall for wall, _ in times), 3),
            "processor_seconds": round(statistics.median(spent for _, spent in times), 3),
        }
        for name, times in found.items()
    }
    results = {"rounds": arguments.rounds, "rows": rows, "made_with": torch_made_with()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
