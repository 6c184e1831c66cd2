"""Every `--help` is quick: it imports nothing heavy, and little at all."""

from __future__ import annotations

import os
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
MOST_MODULES = 220
"""That a command may import beyond what Typer brings."""

COMMANDS = [words for words, _ in commands_beneath(typer.main.get_command(app))]
SCRIPT = """
import sys
import typer
before = set(sys.modules)
from perceiver_music.cli.app import run
try:
    code = run(sys.argv[1:])
finally:
    heavy = {heavy!r}
    more = len(set(sys.modules) - before)
    print(more, [name for name in heavy if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [*[(*words, "--help") for words in COMMANDS], ("--version",), ("train", "--version")],
    ids=" ".join,
)
def test_little_is_imported_and_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    num_modules, heavy = done.stderr.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert 10 < int(num_modules) < MOST_MODULES
    expected = (
        __version__ if "--version" in words else " ".join(("Usage: perceiver-music", *words[:-1]))
    )
    assert expected in done.stdout


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
