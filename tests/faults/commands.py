"""Running the program's commands by the thousand, with faults planted in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("storage_faults.c")
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class StorageFault:
    """Which storage call of a command goes wrong, and how (`storage_faults.c`).

    Attributes:
        folder: calls on paths below it are counted.
        letters: their classes: open, write, read (d), fsync (s), rename, link, close, mkdir,
            unlink.
        at: the call that is struck, from 1; 0 only counts.
        times: how many in a row are struck.
        error: errno that it fails with; 0 for none.
        signal_number: sent to the process just before it; 0 for none.
    """

    folder: Path
    letters: str
    at: int = 0
    times: int = 1
    error: int = 0
    signal_number: int = 0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended; `code` is negative after a signal, None when it had to be killed."""

    code: int | None
    stdout: bytes
    stderr: str
    cpu_seconds: float
    peak_bytes: int
    calls: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects of its standard output."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def lines(self) -> list[str]:
        """The lines of its standard error."""
        return self.stderr.splitlines()

    @property
    def is_clean(self) -> bool:
        """Whether it came to an end of its own, without a traceback or an excuse."""
        is_bug = "Traceback" in self.stderr or "this is a bug" in self.stderr
        return self.code is not None and 0 <= self.code != 1 and not is_bug

    def __str__(self) -> str:
        return f"code {self.code}: {self.stderr.strip()[-300:]}"


@dataclass(kw_only=True)
class Running:
    """A command that was started."""

    pid: int
    scratch: Path
    started: float = field(default_factory=time.monotonic)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended does not mind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def text(self, name: str) -> bytes:
        """What it has written so far to `stdout` or `stderr`."""
        path = self.scratch / name
        return path.read_bytes() if path.exists() else b""


class Commands:
    """The way to the command server."""

    def __init__(self, process: subprocess.Popen[str], scratch: Path) -> None:
        self._process, self._scratch = process, scratch
        self._number = 0
        self._running: dict[int, Running] = {}
        self._ended: dict[int, Ended] = {}

    def run(self, *words: str | Path, **options: Any) -> Ended:
        """Start a command and wait for its end."""
        seconds = options.pop("patience", PATIENCE_SECONDS)
        return self.wait(self.start(*words, **options), seconds)

    def start(
        self,
        *words: str | Path,
        folder: Path,
        environment: dict[str, str] | None = None,
        without: Sequence[str] = (),
        stdin: str | None = os.devnull,
        stdout: str | None = "",
        stderr: str | None = "",
        fault: StorageFault | None = None,
        limits: dict[str, int] | None = None,
        setup: str | None = None,
        setup_arguments: Sequence[object] = (),
    ) -> Running:
        """Start a command.

        Args:
            words: its command line.
            folder: where it works.
            environment: more variables.
            without: variables that it is not to have.
            stdin: a path; None for closed.
            stdout: the same, or "" for a file that is read at the command's end.
            stderr: the same.
            fault: planted in its storage calls.
            limits: `RLIMIT_...` to a number.
            setup: `module:function`, called in the process before it begins.
            setup_arguments: for that.
        """
        self._number += 1
        scratch = self._scratch / str(self._number)
        scratch.mkdir()
        order = {
            "do": "start",
            "words": [os.fspath(word) for word in words],
            "folder": os.fspath(folder),
            "environment": environment or {},
            "without": list(without),
            "streams": [
                stdin,
                os.fspath(scratch / "stdout") if stdout == "" else stdout,
                os.fspath(scratch / "stderr") if stderr == "" else stderr,
            ],
            "faults": None,
            "limits": limits,
            "setup": setup,
            "setup_arguments": list(setup_arguments),
        }
        if fault is not None:
            fields = asdict(fault) | {"folder": os.fspath(fault.folder)}
            order["faults"] = fields | {"log": os.fspath(scratch / "calls")}
        running = Running(pid=self._ask(order)["pid"], scratch=scratch)
        self._running[running.pid] = running
        return running

    def wait(self, running: Running, seconds: float = PATIENCE_SECONDS) -> Ended:
        """Wait for its end; kill it, and say so by a code of None, when it takes too long."""
        answer = self._ask({"do": "wait", "pid": running.pid, "seconds": seconds})
        is_late = not answer["pid"]
        if is_late:
            running.send(signal.SIGUSR1)  # where it hangs is told on its standard error
            time.sleep(1)
            os.killpg(running.pid, signal.SIGKILL)
            answer = self._ask({"do": "wait", "pid": running.pid, "seconds": 60})
        return self._end(answer, is_late=is_late)

    def wait_for_any(self) -> tuple[Running, Ended]:
        """The next one that ends."""
        answer = self._ask({"do": "wait", "pid": -1, "seconds": PATIENCE_SECONDS})
        if not answer["pid"]:
            raise TimeoutError("no command comes to its end")
        return self._running[answer["pid"]], self._end(answer, is_late=False)

    def _end(self, answer: dict[str, Any], *, is_late: bool) -> Ended:
        running = self._running[answer["pid"]]
        ended = Ended(
            code=None if is_late else answer["code"],
            stdout=running.text("stdout"),
            stderr=running.text("stderr").decode(errors="replace"),
            cpu_seconds=answer["cpu_seconds"],
            peak_bytes=answer["peak_bytes"],
            calls=running.text("calls").decode(),
        )
        shutil.rmtree(running.scratch)
        return ended

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the command server has died")
        return json.loads(answer)  # type: ignore[no-any-return]


@contextlib.contextmanager
def command_server(folder: Path) -> Iterator[Commands]:
    """A command server with the storage faults at hand, its scratch files in `folder`.

    Skips the test where there is no C compiler, or none that makes a library to preload.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "storage_faults.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("storage faults are planted with a C compiler, on Linux")
    options = ["-shared", "-fPIC", "-O1", "-o", os.fspath(library), os.fspath(SOURCE), "-ldl"]
    subprocess.run([compiler, *options], check=True)
    home = folder / "home"
    home.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith(("PATH", "LANG"))},
        "HOME": os.fspath(home),
        "LD_PRELOAD": os.fspath(library),
        "PYTHONPATH": os.fspath(CHECKOUT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.command_server"],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the command server does not start")
        yield Commands(process, folder)
