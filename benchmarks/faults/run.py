"""Examine every promise of docs/reliability.md in full, or some of them.

    python -m benchmarks.faults.run                 all of them, in full (hours)
    python -m benchmarks.faults.run --only 1 4      these two
    python -m benchmarks.faults.run --only 10 --size 20000

Each row of `results.json` is replaced when its promise has been examined.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.provenance import made_with
from tests.faults.promises import PROMISES, Promise
from tests.faults.workshop import Workshop

RESULTS = Path(__file__).with_name("results.json")


def examine(promise: Promise, size: int) -> tuple[dict[str, Any], list[str]]:
    """One row, and what did not hold."""
    started, began_at = time.perf_counter(), os.times()
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        Workshop(Path(folder)) as workshop,
    ):
        ledger = promise.examine(size, workshop)
    now = os.times()
    cpu = sum(now[:4]) - sum(began_at[:4])
    note = "; ".join(f"{name}: {value}" for name, value in ledger.notes.items())
    row = {
        "number": promise.number,
        "promise": promise.title,
        "passed": ledger.passed,
        "of": ledger.of,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu, 1),
        "note": f"size {size} of {promise.in_full}" + (f"; {note}" if note else ""),
        "broken": ledger.broken,
        "made_with": made_with("safetensors"),
    }
    return row, ledger.broken


def keep(row: dict[str, Any]) -> None:
    """Put a row in its place among the results."""
    rows = json.loads(RESULTS.read_text())["promises"] if RESULTS.exists() else []
    others = [other for other in rows if other["number"] != row["number"]]
    rows = sorted([*others, row], key=lambda each: each["number"])
    RESULTS.write_text(json.dumps({"promises": rows}, indent=2) + "\n")


def main() -> None:
    """Examine, keep the results, and fail if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = [promise.number for promise in PROMISES]
    parser.add_argument("--only", type=int, nargs="+", choices=numbers, help="these promises")
    parser.add_argument("--size", type=int, help="instead of the full count (see promises.py)")
    arguments = parser.parse_args()
    is_broken = False
    for promise in PROMISES:
        if arguments.only and promise.number not in arguments.only:
            continue
        row, broken = examine(promise, arguments.size or promise.in_full)
        keep(row)
        print(f"{row['number']:2} {row['passed']}/{row['of']} {row['seconds']} s {row['promise']}")
        for line in broken:
            print(f"   {line}", file=sys.stderr)
        is_broken = is_broken or row["passed"] < row["of"]
    sys.exit(int(is_broken))


if __name__ == "__main__":
    main()
