"""Calling a function in a fresh process, which may crash, hang or grow without harming us."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.commands import CHECKOUT


def call_apart(function: str, *arguments: object, seconds: float) -> dict[str, Any]:
    """Call `module:function` with plain values in a fresh interpreter.

    Returns:
        What it returned, a dictionary, with `peak_bytes`; or `died`, which says how it ended.
    """
    environment = {**os.environ, "PYTHONPATH": os.fspath(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.apart", function, json.dumps(arguments)]
    try:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"died": f"not done after {seconds:g} s"}
    if done.returncode:
        return {"died": f"code {done.returncode}: {done.stderr[-500:]}"}
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    """The other side of `call_apart`."""
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(*json.loads(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps({**result, "peak_bytes": _peak_bytes()}) + "\n")


def _peak_bytes() -> int:
    """The most memory that this program has had."""
    try:
        # Not getrusage: that still counts the process which this one was forked from.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on a Mac


if __name__ == "__main__":
    main()
