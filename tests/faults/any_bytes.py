"""Promise 10: any bytes are a MIDI file, or are refused: no traceback, crash, hang or flood."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.tokenizer.performance_events import encode
from tests.faults.bombs import fits_its_bytes
from tests.faults.commands import CHECKOUT
from tests.faults.ledger import Ledger
from tests.faults.midi_mutants import damaged, mutant
from tests.faults.workshop import Workshop

AT_A_TIME = 20_000
MOST_SECONDS = 5
MOST_BYTES = 512 << 20
MOST_SEED_BYTES = 4096
OWN_SHARE = 0.3
THROUGH_THE_COMMANDS = 100
"""One of so many mutants goes through a real command too."""

COMMANDS = (
    ("tokens", "{file}", "--json"),
    ("preprocess", "{file}", "-o", "{folder}/x.store", "--force", "--workers", "1", "--json"),
    ("evaluate", "{file}", "--checkpoint", "{checkpoint}", "--json"),
    (
        *("continue", "{file}", "--checkpoint", "{checkpoint}", "--length", "8", "--seed", "1"),
        *("-o", "{folder}/x.mid", "--force", "--json"),
    ),
    (
        *("infill", "{file}", "--between", "0.5", "1.5", "--checkpoint", "{checkpoint}"),
        *("--seed", "1", "-o", "{folder}/x.mid", "--force", "--json"),
    ),
    ("view", "{file}"),
    ("view", "{file}", "-o", "{folder}/x.svg", "--force", "--json"),
    ("view", "{file}", "-o", "{folder}/x.png", "--force", "--json"),
    ("view", "{file}", "--audio", "none", "-o", "{folder}/x.html", "--force", "--json"),
    ("check", "{file}", "--checkpoint", "{checkpoint}", "--json"),
    ("check", "{file}", "--whole", "--checkpoint", "{checkpoint}"),
    ("replay", "{file}", "--checkpoint", "{checkpoint}", "--check", "--json"),
)
"""Every command that reads MIDI in less time than it plays."""

ALSO = {"infill": (2,), "replay": (69,)}
"""Codes that say something else than that the file is bad: the gap lies outside the music; what a
file says that it was made with is not here."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Mutants through the reader in processes of their own, then some through the commands."""
    seeds = [str(path) for path in seed_files()]
    for start in range(0, size, AT_A_TIME):
        count = min(AT_A_TIME, size - start)
        limit = MOST_SECONDS * 10 + count / 100
        found = workshop.apart(f"{__name__}:read_mutants", start, count, seeds, seconds=limit)
        for name in ("accepted", "refused"):
            ledger.count(name, found.get(name, 0))
        peak = found.get("peak_bytes", 0)
        ledger.most("peak_megabytes", peak >> 20)
        why = found.get("died") or found.get("wrong") or (peak > MOST_BYTES and f"{peak} bytes")
        ledger.of += count - 1
        ledger.passed += 0 if why else count - 1
        ledger.enter(not why, f"mutants {start} to {start + count}", why)
    through_the_commands(ledger, size // THROUGH_THE_COMMANDS, workshop, seeds)


def seed_files() -> list[Path]:
    """Small real files: the bundled primers, and the torture set where it is at hand."""
    torture = CHECKOUT.parent / "shared" / "data" / "midi-torture"
    files = [*(CHECKOUT / "data" / "primers").glob("*.mid"), *torture.rglob("*.mid")]
    return [file for file in sorted(files) if file.stat().st_size <= MOST_SEED_BYTES]


def read_mutants(start: int, count: int, seeds: list[str]) -> dict[str, Any]:
    """Read mutants number `start` and on; the first one that is not handled well is told."""
    outcome: dict[str, Any] = {"accepted": 0, "refused": 0, "wrong": None}
    signal.signal(signal.SIGALRM, _too_slow)
    seed_bytes = [Path(seed).read_bytes() for seed in seeds]
    for number in range(start, start + count):
        data = mutant(random.Random(number), seed_bytes)
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        try:
            midi = parse_midi(data, name="mutant")
            if not fits_its_bytes(data, midi, encode(midi.performance)):
                raise AssertionError("more events than its bytes allow")
            outcome["accepted"] += 1
        except InvalidInputError as error:
            if not error.message or not error.hint or "\n" in str(error):
                outcome["wrong"] = outcome["wrong"] or f"{number}: no way out of {error}"
            outcome["refused"] += 1
        except Exception as error:
            outcome["wrong"] = outcome["wrong"] or f"{number}: {type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return outcome


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"not read in {MOST_SECONDS} s")


def through_the_commands(ledger: Ledger, size: int, workshop: Workshop, seeds: list[str]) -> None:
    """Each mutant through the next command of the table; some are files of our own, damaged."""
    folder = workshop.fresh("any_bytes")
    file = folder / "mutant.mid"
    seed_bytes, made = [Path(seed).read_bytes() for seed in seeds], workshop.made.read_bytes()
    for number in range(size):
        template, rng = COMMANDS[number % len(COMMANDS)], random.Random(f"command {number}")
        if template[0] == "replay" or rng.random() < OWN_SHARE:
            file.write_bytes(damaged(rng, made, 1 + rng.randrange(8)))
        else:
            file.write_bytes(mutant(rng, seed_bytes))
        words = workshop.words(template, folder=folder, file=file)
        started = time.monotonic()
        ended = workshop.commands.run(*words, folder=folder, patience=60)
        ledger.most("slowest_command_seconds", round(time.monotonic() - started, 2))
        is_told = ended.code == 0 or (
            ended.code in (65, *ALSO.get(words[0], ()))
            and sum(line.startswith("error:") for line in ended.lines) == 1
        )
        ledger.enter(
            ended.is_clean and is_told and ended.peak_bytes < MOST_BYTES + workshop.idle_bytes,
            f"{words[0]} on mutant {number}",
            ended,
        )
        ledger.count("through_the_commands")
