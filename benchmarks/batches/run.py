"""Time many pieces from the shell to their files: by one command, and by a command a piece."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.provenance import made_with
from perceiver_music.processors import num_processors

RESULTS = Path(__file__).with_name("results.json")
CHECKOUT = Path(__file__).resolve().parents[2]
PRIMERS = CHECKOUT / "data" / "primers"
VARIATIONS = 3
ONE_THREAD, ALL_THREADS, ONE_BY_ONE = (
    "one command, one thread",
    "one command, every processor",
    "a command a piece, as many at a time as there are processors",
)


def run(words: list[str], folder: Path, *, threads: int) -> None:
    """One command in a fresh process."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.fspath(CHECKOUT),
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-m", "perceiver_music", *words, "--quiet", "--seed", "1"]
    subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=True)


def together(folder: Path, length: str, *, threads: int) -> None:
    """All pieces by one command."""
    wanted = ["continue", os.fspath(PRIMERS), "-n", str(VARIATIONS), "--length", length]
    run([*wanted, "-o", "{stem}_{index}.mid"], folder, threads=threads)


def one_by_one(folder: Path, length: str) -> None:
    """Each by a command of its own, as `xargs -P` does."""

    def make(job: tuple[Path, int]) -> None:
        primer, number = job
        wanted = ["continue", os.fspath(primer), "--length", length]
        run([*wanted, "-o", f"{{stem}}_{number}.mid"], folder, threads=1)

    jobs = [(path, i) for path in sorted(PRIMERS.glob("*.mid")) for i in range(VARIATIONS)]
    with ThreadPoolExecutor(num_processors()) as pool:
        list(pool.map(make, jobs))


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--length", default="20s")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {ONE_THREAD: [], ALL_THREADS: [], ONE_BY_ONE: []}
    ways = {
        ONE_THREAD: lambda folder: together(folder, arguments.length, threads=1),
        ALL_THREADS: lambda folder: together(folder, arguments.length, threads=num_processors()),
        ONE_BY_ONE: lambda folder: one_by_one(folder, arguments.length),
    }
    num_files = 0
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as made:
                started = time.perf_counter()
                way(Path(made))
                found[name].append(time.perf_counter() - started)
                num_files = len(list(Path(made).glob("*.mid")))
                assert num_files == VARIATIONS * len(list(PRIMERS.glob("*.mid")))
    seconds = {name: round(statistics.median(times), 2) for name, times in found.items()}
    results = {
        "pieces": num_files,
        "rounds": arguments.rounds,
        "wall_seconds": seconds,
        "times_as_fast": {
            name: round(seconds[name] / seconds[ALL_THREADS], 2)
            for name in (ONE_THREAD, ONE_BY_ONE)
        },
        "made_with": made_with(),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    sys.stdout.write(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
