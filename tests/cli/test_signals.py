"""SIGINT and SIGTERM where Python would lose what is raised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

FREEING = """
import os, signal, sys, time
from perceiver_music.cli import app
from perceiver_music.jobs import models
class Freed:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.01)
def work():
    Freed()
    print("went on", flush=True)
    time.sleep(60)
models.list_models = work
sys.exit(app.run(["models", "list"]))
"""


def interrupted(program: str, number: int, *modules: Path) -> subprocess.CompletedProcess[bytes]:
    """A program that sends itself that signal; `modules` are folders of what it imports."""
    return subprocess.run(
        [sys.executable, "-c", program, str(int(number))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (CHECKOUT, *modules)))},
        capture_output=True,
        timeout=50,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_something_is_freed_is_not_lost(home: Path, number: int, code: int) -> None:
    done = interrupted(FREEING, number)
    assert done.stdout == b"went on\n"
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 2


IMPORTING = """
import sys, time
from perceiver_music.cli import app
from perceiver_music.jobs import models
def work():
    import swallowing
    print(swallowing.whole, flush=True)
    time.sleep(60)
models.list_models = work
sys.exit(app.run(["models", "list"]))
"""

# As numpy's and torch's extensions do with what is raised in the modules that they import.
SWALLOWING = """
import os, sys, time
try:
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(0.1)
    whole = "whole"
except BaseException:
    whole = "half"
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_an_import_waits_for_its_end(home: Path, number: int, code: int) -> None:
    (home / "swallowing.py").write_text(SWALLOWING)
    done = interrupted(IMPORTING, number, home)
    assert done.stdout == b"whole\n"
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 2
