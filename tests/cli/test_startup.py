"""Every `--help` is quick: it imports nothing heavy, and little at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
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


SIGNAL_IN_IMPORT = """
import os, runpy, sys

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            for _ in range({times}):
                os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sender())
runpy.run_module({entry!r}, run_name="__main__")
"""
ENTRIES = ("perceiver_music", "perceiver_music.cli")


def started(*words: str, **fields: object) -> subprocess.CompletedProcess[str]:
    """What happens when a signal arrives while a module is imported."""
    return subprocess.run(
        [sys.executable, "-c", SIGNAL_IN_IMPORT.format(**fields), *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("module", ["typer", "perceiver_music.cli.settings"])
def test_a_signal_during_imports_is_told_in_one_line(
    entry: str, number: int, code: int, word: str, module: str
) -> None:
    fields = {"entry": entry, "number": int(number), "module": module}
    done = started("models", "list", times=1, **fields)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"error: {word}\nhint: Run the command again to start over.\n"
    failure = json.loads(started("models", "list", "--json", times=1, **fields).stdout)
    assert (failure["command"], failure["error"]["code"]) == ("models", code)
    impatient = started("models", "list", times=2, **fields)
    assert (impatient.returncode, impatient.stdout, impatient.stderr) == (code, "", "")


def test_a_signal_before_anything_can_keep_it_ends_quietly() -> None:
    module = "perceiver_music.cli.early_signals"
    fields = {"entry": "perceiver_music", "number": int(signal.SIGINT), "module": module}
    done = started("models", "list", times=1, **fields)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_console_script_begins_where_signals_are_kept() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"perceiver-music": "perceiver_music.__main__:main"}
