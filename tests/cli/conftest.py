"""Running the program: in this process for speed, in a fresh one where that is the question."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perceiver_music.cli import app
from perceiver_music.cli.settings import ENVIRONMENT_PREFIX

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command line ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        return os.fsdecode(self.stdout).splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        [only] = self.objects
        return only

    @property
    def error_lines(self) -> list[str]:
        return self.stderr.splitlines()

    def failed(self, code: int) -> Outcome:
        """Asserts the two lines of a failure, its code, and that no traceback was shown."""
        assert self.code == code, self
        assert "Traceback" not in self.stderr
        assert any(line.startswith("error: ") for line in self.error_lines), self
        return self

    def succeeded(self) -> Outcome:
        assert self.code == 0, self
        return self


class _Stream(io.TextIOWrapper):
    """A standard stream in memory, which may claim to be a terminal."""

    def __init__(self, data: bytes = b"", *, is_terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8", errors="surrogateescape")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def content(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of our own, without anybody's settings."""
    for name in list(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name.lower()))
    for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command line in this process."""

    def run_here(
        *arguments: str | Path,
        stdin: bytes | None = b"",
        stdin_is_terminal: bool = False,
        stdout_is_terminal: bool = False,
        stderr_is_terminal: bool = False,
    ) -> Outcome:
        streams = {
            "stdin": None if stdin is None else _Stream(stdin, is_terminal=stdin_is_terminal),
            "stdout": _Stream(is_terminal=stdout_is_terminal),
            "stderr": _Stream(is_terminal=stderr_is_terminal),
        }
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            try:
                code = app.run([os.fspath(argument) for argument in arguments])
            except SystemExit as leaving:
                code = int(leaving.code or 0)
        stdout, stderr = streams["stdout"], streams["stderr"]
        assert stdout is not None
        assert stderr is not None
        return Outcome(code=code, stdout=stdout.content(), stderr=stderr.content().decode())

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run_here
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def start(home: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a command line in a fresh process."""

    def start_fresh(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **options.pop("env", {})}
        command = [sys.executable, "-m", "perceiver_music", *map(os.fspath, arguments)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environment, **{**pipes, **options})

    return start_fresh


@pytest.fixture
def spawn(start: Callable[..., subprocess.Popen[bytes]]) -> Run:
    """Runs a command line in a fresh process."""

    def run_fresh(*arguments: str | Path, stdin: bytes | None = None, **options: Any) -> Outcome:
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        with start(*arguments, **options) as process:
            stdout, stderr = process.communicate(stdin, timeout=120)
        code = process.returncode
        return Outcome(code=code, stdout=stdout or b"", stderr=(stderr or b"").decode())

    return run_fresh
