"""Promise 4: the last good checkpoint is never thrown away."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.training.run_state import load_newest, step_folders
from tests.faults.commands import StorageFault
from tests.faults.ledger import Ledger
from tests.faults.training_runs import difference, fingerprint, finish, is_done, start_words
from tests.faults.workshop import Workshop

SETTINGS = ("run.checkpoint_every=1", "run.keep=1")
LETTERS = "ru"
"""Renaming a step out of the way and removing its files: retention does nothing else."""
PLANTED = "step-99999999"


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Kill while older steps are removed; every other time plant a broken step as the newest."""
    folder = workshop.fresh("retention")
    run = folder / "run"
    words = start_words(workshop, run, *SETTINGS)
    counting = StorageFault(folder=run / "steps", letters=LETTERS)
    calls = workshop.commands.run(*words, folder=folder, fault=counting).calls
    expected = fingerprint(run)
    rng = random.Random(4)
    # The first save has no step before it: at least one rename belongs to no removal.
    for number in range(size):
        shutil.rmtree(run)
        place = 2 + rng.randrange(len(calls) - 1)
        fault = StorageFault(
            folder=run / "steps", letters=LETTERS, at=place, signal_number=signal.SIGKILL
        )
        ended = workshop.commands.run(*words, folder=folder, fault=fault)
        ledger.enter(ended.code == -signal.SIGKILL, f"the kill at call {place}", ended)
        if number % 2:
            _plant_a_broken_newest(run)
        why = _no_good_state(run)
        ended = finish(workshop.commands, workshop, run, *SETTINGS)
        if ended.code != 0:
            # It was done and saved no more: the broken step was passed over, and stays.
            shutil.rmtree(run / "steps" / PLANTED, ignore_errors=True)
        found = fingerprint(run) if is_done(ended) else {}
        if why is None and found != expected:
            why = difference(expected, found) if found else str(ended)
        ledger.enter(why is None, f"killed at call {place} of retention", why)
    ledger.notes["calls of retention"] = len(calls)


def _plant_a_broken_newest(run: Path) -> None:
    newest = step_folders(run)[0]
    planted = newest.with_name(PLANTED)
    shutil.copytree(newest, planted)
    data = bytearray((planted / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 4
    (planted / "model.safetensors").write_bytes(data)


def _no_good_state(run: Path) -> str | None:
    try:
        load_newest(run, lambda warning: None)
    except PerceiverMusicError as error:
        return f"no good state is left: {error}"
    return None
