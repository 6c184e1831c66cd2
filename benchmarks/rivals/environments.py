"""An environment for each rival, made with pip by name; `python -m benchmarks.rivals.environments`.

perceiver-io asks for older versions of packages that its model does not need, so it is installed
without what it depends on; so is perceiver-ar-pytorch, which is content with what is there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

TORCH = "torch==2.13.0"
REQUIREMENTS = {
    "transformers": [TORCH, "numpy", "transformers==4.30.2"],
    "perceiver-io": [TORCH, "numpy", "transformers==4.30.2", "einops", "fairscale"],
    "perceiver-ar-pytorch": [TORCH, "numpy", "einops", "beartype"],
}
ALONE = {
    "perceiver-io": "perceiver-io==0.11.0",
    "perceiver-ar-pytorch": "perceiver-ar-pytorch==0.0.10",
}


def python_of(folder: Path, environment: str) -> Path:
    """The interpreter of an environment."""
    return folder / environment / "bin" / "python"


def make(folder: Path, environment: str) -> None:
    """Build one environment, unless it is there."""
    python = python_of(folder, environment)
    if python.exists():
        return
    venv.create(folder / environment, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *REQUIREMENTS[environment]], check=True)
    if environment in ALONE:
        alone = ["--no-deps", "--ignore-requires-python", ALONE[environment]]
        subprocess.run([*install, *alone], check=True)


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for environment in REQUIREMENTS:
        sys.stderr.write(f"{environment}\n")
        make(folder, environment)


if __name__ == "__main__":
    main()
