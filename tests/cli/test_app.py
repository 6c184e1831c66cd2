"""The manners of every command: how it speaks, and how it ends."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perceiver_music import __version__, errors
from perceiver_music.cli.failures import as_failure, hint_of
from perceiver_music.jobs import models as job

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

EVERY_FAILURE = [
    kind("what is wrong", path="song.mid")
    for kind in (
        errors.UsageError,
        errors.PartialFailureError,
        errors.InvalidInputError,
        errors.UnavailableError,
        errors.OutputExistsError,
        errors.StorageError,
        errors.BusyError,
        errors.NonFiniteError,
    )
]


@pytest.fixture
def raising(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Runs a command whose job raises."""

    def run_raising(error: BaseException, *arguments: str) -> Outcome:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(job, "list_models", fail)
        return run("models", "list", *arguments)

    return run_raising


@pytest.mark.parametrize("failure", EVERY_FAILURE, ids=lambda failure: str(failure.exit_code))
def test_a_failure_is_two_lines_and_its_code(raising, failure) -> None:
    outcome = raising(failure).failed(failure.exit_code)
    assert outcome.error_lines == [
        "error: song.mid: what is wrong",
        f"hint: {hint_of(failure, 'models list')}",
    ]
    assert outcome.stdout == b""


@pytest.mark.parametrize("failure", EVERY_FAILURE, ids=lambda failure: str(failure.exit_code))
def test_a_failure_is_an_object_too(raising, failure) -> None:
    outcome = raising(failure, "--json").failed(failure.exit_code)
    said = outcome.object
    assert said["error"] == {
        "code": failure.exit_code,
        "path": "song.mid",
        "message": "what is wrong",
        "hint": hint_of(failure, "models list"),
    }
    assert said["schema"] == "models list/1"
    assert said["version"] == __version__
    assert said["elapsed_seconds"] >= 0


def test_a_name_cannot_forge_a_line(raising) -> None:
    failure = errors.InvalidInputError("bad", path="a\nerror: b\x1b[31m\udcff.mid", hint="h")
    assert raising(failure).error_lines == [
        r"error: a\nerror: b\x1b[31m\xff.mid: bad",
        "hint: h",
    ]


def test_a_bug_is_one_line_and_its_traceback_is_for_debug(raising) -> None:
    outcome = raising(RuntimeError("oh\nno")).failed(1)
    assert "bug" in outcome.error_lines[0]
    assert len(outcome.error_lines) == 2
    assert "Traceback" in raising(RuntimeError("oh no"), "--debug").stderr


def test_the_operating_systems_failures_are_storage_errors(raising) -> None:
    outcome = raising(PermissionError(13, "Permission denied", "song.mid")).failed(74)
    assert "song.mid" in outcome.error_lines[0]


def test_a_missing_package_is_named(raising) -> None:
    error = ModuleNotFoundError("No module named 'note_seq'", name="note_seq")
    assert "note_seq" in raising(error).failed(69).stderr
    stranger = ModuleNotFoundError("No module named 'perceiver_muse'", name="perceiver_muse.x")
    assert "perceiver_muse" in raising(stranger).failed(69).stderr


@pytest.mark.parametrize("kind", [ImportError, ModuleNotFoundError])
def test_a_module_of_ours_that_is_missing_is_a_bug(raising, kind: type[ImportError]) -> None:
    raising(kind("no such module", name="perceiver_music.gone")).failed(1)


def test_an_interruption(raising) -> None:
    raising(KeyboardInterrupt()).failed(130)
    stopped = errors.StoppedBySignalError("stopped, saved", signal_number=signal.SIGTERM)
    assert "stopped, saved" in raising(stopped).failed(143).stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["trian"], "train"),
        (["train", "--max-step", "3"], "--max-steps"),
        (["train", "--max-steps", "many"], "--max-steps"),
        (["render"], "MIDI"),
        (["models"], "command"),
        (["models", "lst"], "list"),
        (["--bogus"], "--bogus"),
        (["evaluate"], "--data"),
        (["models", "list", "-q", "-v"], "--quiet"),
        (["models", "-q", "list", "-v"], "--quiet"),
    ],
)
def test_wrong_words(run: Run, arguments: list[str], word: str) -> None:
    outcome = run(*arguments).failed(2)
    assert len(outcome.error_lines) == 2
    assert word in outcome.stderr
    assert outcome.stdout == b""
    assert run(*arguments, "--json").object["error"]["code"] == 2


def test_no_words_are_a_question(run: Run) -> None:
    assert run().succeeded().stdout == run("--help").succeeded().stdout


def test_every_command_takes_the_shared_options_before_and_after_its_name(run: Run) -> None:
    assert run("--json", "models", "list").succeeded().object["models"] is not None
    assert run("models", "--json", "list").succeeded().object["command"] == "models list"
    assert run("models", "list", "--json").succeeded().object["command"] == "models list"


def test_json_names_what_every_command_promises(run: Run) -> None:
    said = run("models", "list", "--json").succeeded().object
    assert said["schema"] == "models list/1"
    for name in ("version", "elapsed_seconds", "inputs", "outputs", "seed", "checkpoint"):
        assert name in said


def test_a_reader_that_went_away(start) -> None:
    with start("--help") as process:
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_standard_output_is_full(start) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    for words in (("models", "list", "--json"), ("--help",)):
        with full.open("wb") as stream, start(*words, stdout=stream) as process:
            assert process.wait(60) == 74
            assert b"standard output" in process.stderr.read()


def test_closed_streams_do_not_matter_to_help(start) -> None:
    script = f"exec {shlex.quote(sys.executable)} -m perceiver_music --version"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    for closing, code in ((">&-", 74), ("2>&-", 0), ("<&-", 0)):
        done = subprocess.run(
            ["sh", "-c", f"{script} {closing}"], env=environment, capture_output=True, check=False
        )
        assert done.returncode == code
        assert b"Traceback" not in done.stderr


WAITING = """
import sys, time
from perceiver_music.cli import app
from perceiver_music.jobs import models
def wait():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned", flush=True)
models.list_models = wait
sys.exit(app.run(["models", "list"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_in_order(home: Path, number: int, code: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A test runner may ignore SIGINT, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == code
        assert process.stdout.read() == b"cleaned\n"
        assert len(process.stderr.read().splitlines()) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(spawn: Run, shell: str) -> None:
    words = "perceiver-music models "
    environment = {
        "_PERCEIVER_MUSIC_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": "2",
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    outcome = spawn(env=environment)
    for name in ("list", "info", "verify"):
        assert name in outcome.stdout.decode(), outcome


@pytest.mark.parametrize("columns", ["0", "1", "99999999"])
def test_an_odd_width_hides_nothing(spawn: Run, columns: str) -> None:
    outcome = spawn("view", "nowhere.mid", env={**os.environ, "COLUMNS": columns}).failed(74)
    assert len(outcome.error_lines) == 2


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")],
)
def test_a_lack_of_memory_is_no_bug(error: Exception) -> None:
    failure = as_failure(error)
    assert (failure.exit_code, failure.message) == (69, "there is not enough memory")


def test_a_library_that_cannot_be_loaded_is_no_bug() -> None:
    failure = as_failure(ImportError("libtorch_cpu.so: failed to map segment"))
    assert failure.exit_code == 69
    assert "libtorch_cpu.so" in failure.message
    ours = ImportError("cannot import name 'x'", name="perceiver_music.jobs")
    assert as_failure(ours).exit_code == 1
