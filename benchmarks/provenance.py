"""How a benchmark's figures came about: the command, the versions and the processor."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from perceiver_music import __version__

PACKAGES = ("torch", "numpy")


def made_with(*packages: str) -> dict[str, Any]:
    """Provenance of the running script; of paths in the command only their names.

    Args:
        packages: distributions whose versions matter here, beside torch and numpy.
    """
    script = Path(sys.argv[0]).resolve()
    module = ".".join(script.relative_to(Path(__file__).parents[1]).with_suffix("").parts)
    words = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    return {
        "command": " ".join(["python -m", module, *words]),
        "perceiver_music": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in (*PACKAGES, *packages)},
        "processor": processor_name(),
        "cores": os.cpu_count(),
    }


def torch_made_with(*packages: str) -> dict[str, Any]:
    """The same with what decides torch's speed and last digits."""
    import torch

    kernel = torch.backends.cpu.get_cpu_capability()
    return {**made_with(*packages), "kernel": kernel, "threads": torch.get_num_threads()}


def processor_name() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
