"""Promise 14: nothing is overwritten silently, however many write at once."""

from __future__ import annotations

from collections import defaultdict

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.music.midi_file import read_midi
from tests.faults.commands import Ended, Running
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

AT_ONCE = 64
WORDS = ("continue", "{primer}", "--checkpoint", "{checkpoint}", "--length", "4", "--json")


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Two writers for each of `size` names, `AT_ONCE` at a time, without --force."""
    folder = workshop.fresh("no_overwrite")
    waiting = [(name, seed) for name in range(size) for seed in (2 * name, 2 * name + 1)][::-1]
    running: dict[int, int] = {}
    ended: dict[int, list[Ended]] = defaultdict(list)
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name, seed = waiting.pop()
            words = [*workshop.words(WORDS), "--seed", str(seed), "-o", f"{name}.mid"]
            started: Running = workshop.commands.start(*words, folder=folder)
            running[started.pid] = name
        finished, how = workshop.commands.wait_for_any()
        ended[running.pop(finished.pid)].append(how)
    for name, both in ended.items():
        ledger.enter(not (why := _judge(folder / f"{name}.mid", both)), f"name {name}", why)
    leavings = list(folder.glob(".*"))
    ledger.enter(not leavings, "nothing is left behind", leavings)
    ledger.notes["workers"] = 2 * size


def _judge(path: object, both: list[Ended]) -> str | None:
    from pathlib import Path

    codes = sorted(str(one.code) for one in both)
    if codes != ["0", "73"]:
        return f"codes {codes}: {[str(one) for one in both]}"
    [winner] = [one for one in both if one.code == 0]
    try:
        texts = read_midi(Path(str(path))).texts
    except PerceiverMusicError as error:
        return f"not whole: {error}"
    seed = f'"seed": {winner.objects[0]["seed"]}'
    return None if any(seed.encode() in text.data for text in texts) else "of another writer"
