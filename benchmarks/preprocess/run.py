"""Time `preprocess` on all of MAESTRO, with one worker and with two."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.provenance import made_with

RESULTS = Path(__file__).with_name("results.json")
WORKERS = (1, 2)
GOAL_SECONDS = 60.0
PIECES = {"train": 962, "validation": 137, "test": 177}
NOTES = 7_040_164


def prepare(source: Path, store: Path, workers: int) -> dict[str, Any]:
    """One run in a fresh process, timed from outside."""
    command = [sys.executable, "-m", "perceiver_music", "preprocess", os.fspath(source)]
    command += ["-o", os.fspath(store), "--workers", str(workers), "--json", "--quiet"]
    load = os.getloadavg()[0]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    said = json.loads(done.stdout)
    return {
        "workers": workers,
        "seconds": round(seconds, 2),
        "load_before": round(load, 2),
        "store_sha256": said["store_sha256"],
        "store_bytes": store.stat().st_size,
        "pieces": {name: split["pieces"] for name, split in said["splits"].items()},
        "notes": sum(split["notes"] for split in said["splits"].values()),
        "events": sum(split["events"] for split in said["splits"].values()),
        "rejected": len(said["rejected"]),
    }


def check(rows: list[dict[str, Any]]) -> list[str]:
    """What is not as it must be."""
    wrong = []
    if len({row["store_sha256"] for row in rows}) != 1:
        wrong.append("the stores differ")
    for row in rows:
        if row["pieces"] != PIECES or row["notes"] != NOTES or row["rejected"]:
            wrong.append(f"with {row['workers']} workers the counts are not MAESTRO's")
    return wrong


def main() -> None:
    """Measure, keep the result, and fail if it is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="MAESTRO v3, unpacked")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for workers in WORKERS:
            store = Path(folder) / f"{workers}.store"
            rows.append(prepare(arguments.folder, store, workers))
            store.unlink()
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    results = {
        "goal_seconds_with_two_workers": GOAL_SECONDS,
        "rows": rows,
        "made_with": made_with(),
    }
    wrong = check(rows)
    if wrong:
        sys.exit("; ".join(wrong))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
