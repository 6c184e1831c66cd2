"""Every `--help` is quick: it imports nothing heavy and stays within its time of the processor."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from perceiver_music import __version__
from perceiver_music.cli.app import app
from perceiver_music.cli.settings import commands_beneath

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "note_seq", "numba", "numpy", "scipy", "mido", "rich", "safetensors")
MOST_CPU_SECONDS = 0.3
TRIES = 5

COMMANDS = [words for words, _ in commands_beneath(typer.main.get_command(app))]
SCRIPT = """
import sys
from perceiver_music.cli.app import run
try:
    code = run(sys.argv[1:])
finally:
    heavy = {heavy!r}
    print([name for name in heavy if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [*[(*words, "--help") for words in COMMANDS], ("--version",), ("train", "--version")],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(words: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"
    expected = (
        __version__ if "--version" in words else " ".join(("Usage: perceiver-music", *words[:-1]))
    )
    assert expected in done.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "program")
def test_help_costs_little_over_an_interpreter_that_imports_typer(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    bare = _cpu_seconds(["-c", "import typer"], tmp_path)
    help_text = _cpu_seconds(["-m", "perceiver_music", *words, "--help"], tmp_path)
    assert help_text - bare < MOST_CPU_SECONDS


def _cpu_seconds(arguments: list[str], folder: Path) -> float:
    """Processor time of a fresh interpreter; the least of a few tries, as others work here too."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    least = float("inf")
    for _ in range(TRIES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        least = min(least, spent)
    return least


def test_it_is_a_module_of_the_name_that_people_try(tmp_path: Path) -> None:
    for module in ("perceiver_music", "perceiver_music.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"perceiver-music {__version__}\n"
