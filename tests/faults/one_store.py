"""Promise 17: one store, many processes: the same bytes, no stale lock, no half store read."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import PerceiverMusicError, StorageError
from perceiver_music.files import sha256_of_file
from tests.faults.commands import CHECKOUT, StorageFault
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

BUILDERS = 4
LETTERS = "owsrlcmu"
PRIMERS = CHECKOUT / "data" / "primers"
WORDS = ("preprocess", str(PRIMERS), "-o", "{folder}/x.store", "--workers", "1", "--force")


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """`size` rounds of builders side by side, then `size` builders killed while they hold it."""
    folder = workshop.fresh("one_store")
    store = folder / "x.store"
    words = workshop.words(WORDS, folder=folder)
    counting = StorageFault(folder=folder, letters=LETTERS)
    calls = workshop.commands.run(*words, folder=folder, fault=counting).calls
    expected = sha256_of_file(store)
    for number in range(size):
        store.unlink(missing_ok=True)
        running = [workshop.commands.start(*words, folder=folder) for _ in range(BUILDERS)]
        half = _read_while_building(store)
        codes = [workshop.commands.wait(one).code for one in running]
        is_right = set(codes) <= {0, 75} and 0 in codes and sha256_of_file(store) == expected
        ledger.enter(is_right and not half, f"round {number}", f"codes {codes} {half}")
        ledger.count("builders that found it busy", codes.count(75))
    rng = random.Random(17)
    for _ in range(size):
        place = 1 + rng.randrange(len(calls))
        fault = StorageFault(folder=folder, letters=LETTERS, at=place, signal_number=signal.SIGKILL)
        workshop.commands.run(*words, folder=folder, fault=fault)
        half = _read_while_building(store, times=1)
        ended = workshop.commands.run(*words, folder=folder)
        is_right = ended.code == 0 and sha256_of_file(store) == expected and not half
        is_right = is_right and not (folder / ".x.store.lock").exists()
        ledger.enter(is_right, f"the holder killed at call {place}", f"{ended} {half}")


def _read_while_building(store: Path, times: int = 30) -> str:
    """Open the store again and again: it is whole or not there."""
    for _ in range(times):
        try:
            TokenStore.open(store)
        except StorageError:
            continue  # not there yet
        except PerceiverMusicError as error:
            return str(error)
    return ""
