"""Promise 1: killed anywhere, training ends the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.commands import CHECKOUT, Running, StorageFault
from tests.faults.ledger import Ledger
from tests.faults.training_runs import (
    difference,
    fingerprint,
    finish,
    is_done,
    next_words,
    start_words,
    storage_calls,
)
from tests.faults.workshop import Workshop

LETTERS = "owsrlcmu"
RANK_PATIENCE = 60
SURVIVOR_SECONDS = 2.0
RANK_SHARE = 0.4
"""Trials with two ranks, as many again as this share of those with one."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Half of the kills at a storage call of a save, half at any moment; then with two ranks."""
    folder = workshop.fresh("killed_training")
    run = folder / "run"
    calls = storage_calls(workshop, run, LETTERS)
    expected = fingerprint(run)
    rng = random.Random(1)
    seconds = _seconds_of_a_run(workshop, run)
    for number in range(size):
        shutil.rmtree(run)
        place = 1 + rng.randrange(len(calls)) if number % 2 else 0
        when = rng.random() * seconds
        _killed_once(workshop, run, place, when)
        ended = finish(workshop.commands, workshop, run)
        found = fingerprint(run) if is_done(ended) else {}
        trial = f"killed at storage call {place}" if place else f"killed after {when:.2f} s"
        ledger.enter(found == expected, trial, difference(expected, found) if found else ended)
    ledger.notes["storage_calls_of_a_run"] = len(calls)
    with_two_ranks(ledger, int(size * RANK_SHARE + 0.7), workshop)


def _seconds_of_a_run(workshop: Workshop, run: Path) -> float:
    shutil.rmtree(run)
    started = time.monotonic()
    workshop.commands.run(*start_words(workshop, run), folder=run.parent)
    return time.monotonic() - started


def _killed_once(workshop: Workshop, run: Path, place: int, when: float) -> None:
    words, commands = next_words(workshop, run), workshop.commands
    if place:
        fault = StorageFault(folder=run, letters=LETTERS, at=place, signal_number=signal.SIGKILL)
        commands.run(*words, folder=run.parent, fault=fault)
        return
    running = commands.start(*words, folder=run.parent)
    time.sleep(when)
    running.send(signal.SIGKILL)
    commands.wait(running)


def with_two_ranks(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """One of two ranks over gloo is killed; the other must notice, and the resumed run be equal."""
    folder = workshop.fresh("killed_ranks")
    expected = None
    rng = random.Random(2)
    seconds = 1.0
    for number in range(size + 1):
        run = folder / f"run-{number}"
        started = time.monotonic()
        codes = train_with_ranks(
            workshop, run, victim=number % 2, when=rng.random() * seconds * bool(number)
        )
        seconds = time.monotonic() - started if number == 0 else seconds
        if number == 0:
            assert codes == [0, 0], codes
            expected = fingerprint(run)
            continue
        survivor = codes[1 - number % 2]
        codes = train_with_ranks(workshop, run)
        has_ended = codes in ([0, 0], [2, 2])
        found = fingerprint(run) if has_ended else {}
        ledger.enter(
            found == expected and survivor in (0, 69, 143, -signal.SIGTERM),
            f"rank {number % 2} of two killed",
            f"codes {survivor}, {codes}, {difference(expected or {}, found)}",
        )
        ledger.count("with_two_ranks")


def train_with_ranks(
    workshop: Workshop,
    run: Path,
    *,
    victim: int = 0,
    when: float = 0,
    plants: dict[int, tuple[str, tuple[object, ...]]] | None = None,
) -> list[int | None]:
    """Train or go on with two ranks, as torchrun starts them.

    Args:
        workshop: for store and commands.
        run: the run folder.
        victim: the rank that is killed.
        when: after how many seconds; 0 for not at all.
        plants: of a rank, what is called in its process before it begins.

    Returns:
        Their exit codes.
    """
    words = next_words(workshop, run)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running: list[Running] = []
    for rank in range(2):
        environment = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        setup, arguments = (plants or {}).get(rank, (None, ()))
        options = {"environment": environment, "setup": setup, "setup_arguments": arguments}
        running.append(workshop.commands.start(*words, folder=run.parent, **options))
    if when:
        time.sleep(when)
        running[victim].send(signal.SIGKILL)
        time.sleep(SURVIVOR_SECONDS)
        running[1 - victim].send(signal.SIGTERM)  # torchrun would not have waited so long
    return [workshop.commands.wait(one, RANK_PATIENCE).code for one in running]


def under_torchrun(workshop: Workshop, run: Path) -> int:
    """The same two ranks by torchrun itself, whole; its exit code."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node=2", "-m", "perceiver_music"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    words = next_words(workshop, run)
    return subprocess.run([*launcher, *words], env=environment, check=False).returncode
