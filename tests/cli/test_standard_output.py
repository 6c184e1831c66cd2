"""All that is written arrives, whatever kind of pipe and reader there is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MUCH = 1_000_000
"""Bytes, more than any pipe holds by itself."""

WRITING = f"""
import os, sys
from perceiver_music.cli import app
from perceiver_music.cli.console import Console
from perceiver_music.jobs import models
def write():
    Console().binary(bytes(range(250)) * ({MUCH} // 250))
    sys.exit(0)
models.list_models = write
os.set_blocking(1, "nonblocking" not in sys.argv)
sys.exit(app.run(["models", "list"]))
"""

UNBUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def _writer(unbuffered: str, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": unbuffered}
    return subprocess.Popen(
        [sys.executable, "-c", WRITING, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _first_bytes(process: subprocess.Popen[bytes]) -> bytes:
    """A few bytes, read when the pipe is full again: the writer waits or has been cut short."""
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 4)
    time.sleep(0.3)
    return first


@UNBUFFERED
@pytest.mark.parametrize("words", [(), ("nonblocking",)], ids=["blocking", "nonblocking"])
def test_a_slow_reader_gets_all(unbuffered: str, words: tuple[str, ...], home: Path) -> None:
    with _writer(unbuffered, *words) as process:
        first = _first_bytes(process)
        rest, stderr = process.communicate(timeout=60)
    assert first + rest == bytes(range(250)) * (MUCH // 250)
    assert (process.returncode, stderr) == (0, b"")


@UNBUFFERED
def test_a_process_that_was_stopped_meanwhile_writes_all(unbuffered: str, home: Path) -> None:
    with _writer(unbuffered) as process:
        first = _first_bytes(process)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            process.send_signal(number)
            time.sleep(0.1)
        rest, _ = process.communicate(timeout=60)
    assert len(first + rest) == MUCH
    assert process.returncode == 0


@UNBUFFERED
@pytest.mark.parametrize("words", [(), ("nonblocking",)], ids=["blocking", "nonblocking"])
def test_141_when_the_reader_leaves_midway(
    unbuffered: str, words: tuple[str, ...], home: Path
) -> None:
    with _writer(unbuffered, *words) as process:
        assert _first_bytes(process) == bytes(range(4))
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_an_interruption_is_heard_while_the_reader_keeps_us_waiting(home: Path) -> None:
    with _writer("", "nonblocking") as process:
        _first_bytes(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
