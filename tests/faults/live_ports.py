"""Promise 20: live ports go away, flood and stammer, and no note hangs and nothing grows."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mido
import pytest

from perceiver_music.live.clock import FreeClock
from perceiver_music.live.port_stream import PortStream
from perceiver_music.live.ports import PortGone, open_output
from perceiver_music.music.midi_file import read_midi
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop
from tests.live.duet_room import FLOODS, MOST_GROWN_BYTES, PRESS, RELEASE, Room, scale
from tests.live.memory_backend import LOG_VARIABLE, NAME, plugged_in, sounding

PATIENCE_SECONDS = 60.0
TRIAL_SECONDS = 0.5
"""Of patience for one simulated trial, which takes some hundredths."""
SIMULATED_SECONDS = 12.0
"""In which the player's few messages and the answer have come to their end."""
COMMAND_SHARE = 10
"""One of so many trials is one of the real command, in real time."""
FLOOD_SHARE = 10
MESSAGES = 20
"""So many of the machine's messages may go well before a port goes away."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Floods, all of them from 120 on; `size` simulated duets and streams cut off; real duets."""
    names = list(FLOODS)[: max(1, size // FLOOD_SHARE)]
    found = workshop.apart(f"{__name__}:flooded", names, seconds=PATIENCE_SECONDS * len(names))
    for name in names:
        grown, why = found.get(name, (0, found.get("died")))
        ledger.most("most bytes grown", grown)
        ledger.enter(why is None, f"a flood {name}", why)
    limit = PATIENCE_SECONDS + TRIAL_SECONDS * size
    found = workshop.apart(f"{__name__}:cut_off", size, seconds=limit)
    if "died" in found:
        ledger.enter(False, "ports that go away", found["died"])
    for trial, why in found.get("trials", {}).items():
        ledger.enter(why is None, trial, why)
    for number in range(max(2, size // COMMAND_SHARE)):
        why = _a_real_duet(workshop, number)
        ledger.enter(why is None, f"duet {number}, a port goes away", why)
        ledger.count("by the real command")


# In a process of their own.


def _plugged_in() -> ModuleType:
    os.environ["MIDO_BACKEND"] = NAME
    return plugged_in()


def flooded(names: list[str]) -> dict[str, Any]:
    """What each flood leaves behind in a duet: bytes, and what is wrong."""
    return {name: _flooded(name) for name in names}


def _flooded(name: str) -> tuple[int, str | None]:
    backend = _plugged_in()
    room = Room(backend, pause_seconds=1.0, through=True)
    backend.arriving.extend(FLOODS[name]())
    latest: dict[tuple[int, bool, int], mido.Message] = {}
    """Of each key and pedal the last message: a list of all would be what grows."""

    def send(port: object, message: mido.Message) -> None:
        _, number, _ = message.bytes()
        latest[message.channel, message.type == "control_change", number] = message

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.Output, "_send", send)
        grown = room.bytes_grown(seconds=1.0)
        wrong = f"{grown} bytes grown" if grown > MOST_GROWN_BYTES else None
        if backend.arriving:
            wrong = f"{len(backend.arriving)} messages still wait"
        before = room.duet.player.total_notes
        backend.arriving += [[0xF7], [PRESS, 60, 64], [RELEASE, 60, 0]]
        room.wait(0.1)
        if room.duet.player.total_notes != before + 1:
            wrong = wrong or "the next note is not heard"
        room.duet.silence(room.clock.now())
    return grown, wrong or _hanging(list(latest.values()))


def cut_off(size: int) -> dict[str, Any]:
    """Duets and streams whose ports go away at random moments: trial -> what is wrong."""
    kinds: dict[str, Callable[[random.Random], str | None]] = {
        "the output goes away": _without_output,
        "the output goes away and comes back": _with_a_gap,
        "the input goes away": _without_input,
        "a stream's output goes away": _stream_without_output,
        "a stream is broken off": _stream_broken_off,
    }
    trials = {}
    for number in range(size):
        name = list(kinds)[number % len(kinds)]
        trials[f"{name}, {number}"] = kinds[name](random.Random(number))
    return {"trials": trials}


def _random_room(rng: random.Random) -> tuple[ModuleType, Room]:
    """A duet in which somebody plays a few keys and may leave some of them, and the pedal, down."""
    backend = _plugged_in()
    room = Room(backend, pause_seconds=rng.choice((0.2, 0.5)), through=rng.random() < 0.7)
    for _ in range(1 + rng.randrange(4)):
        backend.arriving.append([PRESS, 40 + rng.randrange(8), 1 + rng.randrange(127)])
        if rng.random() < 0.5:
            backend.arriving.append([0xB0, 64, rng.choice((0, 40, 127))])
        if rng.random() < 0.6:
            backend.arriving.append([RELEASE, 40 + rng.randrange(8), 0])
    return backend, room


def _wait_until_gone(room: Room) -> bool:
    """Whether the failure is told, within some time."""
    try:
        room.wait(SIMULATED_SECONDS)
    except PortGone:
        return True
    finally:
        room.duet.silence(room.clock.now())
    return False


def _without_output(rng: random.Random) -> str | None:
    backend, room = _random_room(rng)
    backend.state["fails_after"] = rng.randrange(MESSAGES)
    is_told = _wait_until_gone(room)
    if room.duet.machine.keys_down:
        return "a key of the machine is still down on its tape"
    return None if is_told else "nobody was told"


def _with_a_gap(rng: random.Random) -> str | None:
    """A send that fails though the device is still there, as one whose buffer is full."""
    backend, room = _random_room(rng)
    backend.state["fails_after"] = rng.randrange(MESSAGES)
    try:
        room.wait(SIMULATED_SECONDS)
    except PortGone:
        backend.state["fails_after"] = -1
        room.duet.silence(room.clock.now())
        return _hanging(backend.sent)
    return "nobody was told"


def _without_input(rng: random.Random) -> str | None:
    backend, room = _random_room(rng)
    backend.state["input_fails_after"] = 1 + rng.randrange(MESSAGES)
    is_told = _wait_until_gone(room)
    return _hanging(backend.sent) or (None if is_told else "nobody was told")


def _stream(backend: ModuleType, rng: random.Random, *, is_broken_off: bool) -> bool:
    """Play a scale on a port; whether a failure of the port was told."""
    cut = rng.randrange(MESSAGES)
    try:
        with PortStream(open_output("one"), clock=FreeClock()) as stream:
            for place, event in enumerate(scale(None)):  # type: ignore[arg-type]
                if is_broken_off and place == cut:
                    raise KeyboardInterrupt
                stream.add(event)
            stream.finish()
    except PortGone:
        return True
    except KeyboardInterrupt:
        pass
    return False


def _stream_without_output(rng: random.Random) -> str | None:
    backend = _plugged_in()
    backend.state["fails_after"] = rng.randrange(MESSAGES)
    if not _stream(backend, rng, is_broken_off=False):
        return "nobody was told"
    return _left_behind(backend)


def _stream_broken_off(rng: random.Random) -> str | None:
    backend = _plugged_in()
    _stream(backend, rng, is_broken_off=True)
    return _hanging(backend.sent) or _left_behind(backend)


def _left_behind(backend: ModuleType) -> str | None:
    if backend.state["is_open"] or threading.active_count() > 1:
        return f"{backend.state['is_open']} ports, {threading.active_count()} threads left"
    return None


def _hanging(sent: list[mido.Message]) -> str | None:
    keys, pedals = sounding(sent)
    return f"keys {sorted(keys)}, pedals {pedals} hang" if keys or pedals else None


# By the real command.


def _a_real_duet(workshop: Workshop, number: int) -> str | None:
    """One in real time: after some messages of the machine a port is gone."""
    folder = workshop.fresh("live")
    log, output = folder / "sent", folder / "kept.mid"
    words = ["duet", "--checkpoint", str(workshop.checkpoint), "--length", "20s", "--seed"]
    words += [str(number), "--pause", "0.05", "--through", "-o", str(output)]
    which = ("fails_after", "input_fails_after")[number % 2]
    ended = workshop.commands.run(
        *words,
        folder=folder,
        setup=f"{__name__}:plug_in",
        setup_arguments=(str(log), which, 2 + random.Random(number).randrange(MESSAGES)),
    )
    sent = [mido.Message.from_str(line) for line in _lines(log)]
    errors = [line for line in ended.lines if line.startswith("error:")]
    if ended.code != 69 or not ended.is_clean or len(errors) != 1 or "went away" not in errors[0]:
        return str(ended)
    if which == "input_fails_after" and (why := _hanging(sent)):
        return why
    if not output.exists() or not read_midi(output).performance.num_notes:
        return "the conversation is not kept"
    return None


def _lines(log: Path) -> Iterator[str]:
    yield from log.read_text().splitlines() if log.exists() else ()


def plug_in(log: str, which: str, after: int) -> None:
    """In the process of the command: a keyboard that has been played, and a port that will go."""
    os.environ[LOG_VARIABLE] = log
    backend = _plugged_in()
    backend.arriving += [[PRESS, 60, 64], [RELEASE, 60, 0]]
    backend.state[which] = after
