"""Promise 5: an interruption loses nothing, and is quick."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.ledger import Ledger
from tests.faults.training_runs import (
    STEPS,
    difference,
    fingerprint,
    finish,
    is_done,
    start_words,
)
from tests.faults.workshop import Workshop

MOST_SECONDS = 5.0
PLACES = ("step", "evaluation", "save")
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """A signal in a step, in evaluation, in a save; every other time a second during the save."""
    folder = workshop.fresh("interruption")
    run, diary = folder / "run", folder / "diary"
    words = start_words(workshop, run)
    workshop.commands.run(*words, folder=folder)
    expected = fingerprint(run)
    rng = random.Random(5)
    for trial in range(size):
        shutil.rmtree(run)
        diary.write_text("")
        place = PLACES[trial % len(PLACES)]
        number = list(SIGNALS)[trial // len(PLACES) % 2]
        times = {"step": STEPS, "evaluation": 4, "save": 8}[place]
        arguments = (place, 1 + rng.randrange(times), int(number), trial % 2 == 1, str(diary))
        ended = workshop.commands.run(
            *words, folder=folder, setup=f"{__name__}:plant", setup_arguments=arguments
        )
        now = time.monotonic()
        entries = [json.loads(line) for line in diary.read_text().splitlines()]
        seconds = now - next((entry["at"] for entry in entries if "at" in entry), now)
        ledger.most("slowest_exit_seconds", round(seconds, 2))
        why = _judge(ended.code, SIGNALS[number], run, entries)
        if why is None and seconds > MOST_SECONDS:
            why = f"out after {seconds:.1f} s"
        again = finish(workshop.commands, workshop, run)
        found = fingerprint(run) if is_done(again) else {}
        if why is None and found != expected:
            why = difference(expected, found) if found else str(again)
        ledger.enter(why is None, f"signal {arguments[:4]}", f"{why}; {ended}")


def _judge(code: int | None, expected: int, run: Path, diary: list[dict[str, Any]]) -> str | None:
    """Whether it ended by the signal, with every step that was done in its newest state."""
    num_steps = max((entry.get("steps", 0) for entry in diary), default=0)
    newest = max((run / "steps").glob("step-*"), default=Path("step-0")).name
    if code == 0 and num_steps == STEPS:
        return None  # it came with the last thing to do
    if code != expected:
        return f"code {code} instead of {expected}"
    lost = num_steps - int(newest.removeprefix("step-"))
    return f"{lost} steps are lost" if lost else None


def plant(place: str, when: int, number: int, is_twice: bool, diary: str) -> None:
    """In the process of the command: send the signal at the `when`-th coming to a place."""
    from perceiver_music.training import loop, run_state, validation

    counts = {"step": 0, "evaluation": 0, "save": 0, "sent": 0}

    def note(**entry: object) -> None:
        with Path(diary).open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def send() -> None:
        counts["sent"] += 1
        note(at=time.monotonic())
        os.kill(os.getpid(), number)

    def struck(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            is_second = is_twice and name == "save" and counts["sent"] == 1
            if (name == place and counts[name] == when) or is_second:
                send()
            result = function(*arguments, **options)
            if name == "step":
                note(steps=arguments[0].counts.step)
            return result

        return run

    loop.TrainingLoop.train_step = struck("step", loop.TrainingLoop.train_step)  # type: ignore[method-assign]
    validation.score_piece = struck("evaluation", validation.score_piece)
    run_state.write_tensors = struck("save", run_state.write_tensors)
