"""A mido backend in this process: ports are lists of messages, and break when they are told to.

Its name for mido is that of this module, `NAME`. What is sent is also written to the file that
`LOG_VARIABLE` names, a line each, for who looks from outside.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import deque
from pathlib import Path
from types import ModuleType

import mido
from mido.ports import BaseInput, BaseOutput

NAME = "tests.live.memory_backend"
LOG_VARIABLE = "MEMORY_BACKEND_LOG"

INPUTS = ["Grand Piano", "Second Piano"]
OUTPUTS = ["Synth One", "Synth Two"]
sent: list[mido.Message] = []
arriving: deque[list[int]] = deque()
"""Bytes as the device sends them, a chunk at a time."""
state = {"fails_after": -1, "input_fails_after": -1, "is_open": 0}
"""After how many sent messages output and input are gone, -1 for never; how many ports are open."""


def plugged_in() -> ModuleType:
    """The backend that mido will load by its name, as after a fresh start."""
    known = sys.modules.get(NAME)
    return importlib.import_module(NAME) if known is None else importlib.reload(known)


def get_devices(**_: object) -> list[dict[str, object]]:
    return [{"name": name, "is_input": True, "is_output": False} for name in INPUTS] + [
        {"name": name, "is_input": False, "is_output": True} for name in OUTPUTS
    ]


class _Counted:
    def _open(self, **_: object) -> None:
        state["is_open"] += 1

    def _close(self) -> None:
        state["is_open"] -= 1


class Input(_Counted, BaseInput):
    def _receive(self, block: bool = True) -> None:
        if 0 <= state["input_fails_after"] <= len(sent):
            raise OSError("unplugged")
        while arriving and not self._messages:
            chunk = arriving.popleft()
            if not chunk:
                raise OSError("unplugged")
            self._parser.feed(chunk)


class Output(_Counted, BaseOutput):
    def _send(self, message: mido.Message) -> None:
        if len(sent) == state["fails_after"]:
            raise RuntimeError("PortMidi: host error")
        sent.append(message)
        if log := os.environ.get(LOG_VARIABLE):
            with Path(log).open("a") as stream:
                stream.write(f"{message}\n")


def sounding(messages: list[mido.Message]) -> tuple[set[tuple[int, int]], dict[int, int]]:
    """(channel, key) that are down after some messages, and where each channel's pedal stands."""
    keys: set[tuple[int, int]] = set()
    pedal: dict[int, int] = {}
    for message in messages:
        if message.type == "note_on" and message.velocity:
            keys.add((message.channel, message.note))
        elif message.type in ("note_on", "note_off"):
            keys.discard((message.channel, message.note))
        elif message.type == "control_change" and message.control == 64:
            pedal[message.channel] = message.value
    return keys, {channel: value for channel, value in pedal.items() if value}
