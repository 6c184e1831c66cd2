"""Promise 15: a batch goes on where it was killed, and leaves alone what is finished."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from perceiver_music.files import sha256_of_file
from tests.faults.commands import StorageFault
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

PIECES = 40
LETTERS = "owsrlcmu"
WORDS = ("continue", "{primer}", "--checkpoint", "{checkpoint}", "--length", "6", "--seed", "7")


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Kill a batch at `size` of its storage calls, run it again with --skip-existing, compare."""
    words = [*workshop.words(WORDS), "-n", str(PIECES), "-o", "out/", "--skip-existing"]
    folder = workshop.fresh("batch")
    counting = StorageFault(folder=folder / "out", letters=LETTERS)
    calls = workshop.commands.run(*words, folder=folder, fault=counting).calls
    expected = _sums(folder)
    assert len(expected) == PIECES
    places = random.Random(15).sample(range(1, len(calls) + 1), min(size, len(calls)))
    for place in places:
        folder = workshop.fresh("batch")
        fault = StorageFault(
            folder=folder / "out", letters=LETTERS, at=place, signal_number=signal.SIGKILL
        )
        ended = workshop.commands.run(*words, folder=folder, fault=fault)
        finished = {path: path.stat().st_mtime_ns for path in _pieces(folder)}
        why = None if ended.code == -signal.SIGKILL else f"was not killed: {ended}"
        again = workshop.commands.run(*words, folder=folder)
        if again.code != 0:
            why = f"does not go on: {again}"
        elif _sums(folder) != expected:
            why = "other pieces than without the kill"
        elif any(path.stat().st_mtime_ns != when for path, when in finished.items()):
            why = "a finished piece was touched"
        ledger.enter(why is None, f"killed at storage call {place} of {len(calls)}", why)
    ledger.notes["pieces"] = PIECES


def _pieces(folder: Path) -> list[Path]:
    """What a user finds; hidden files, which a killed writer may leave, are none of it."""
    return [path for path in sorted((folder / "out").glob("*")) if not path.name.startswith(".")]


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in _pieces(folder)}
