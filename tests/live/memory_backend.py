"""A mido backend in this process: ports are lists of messages, and break when they are told to."""

from __future__ import annotations

from collections import deque

import mido
from mido.ports import BaseInput, BaseOutput

INPUTS = ["Grand Piano", "Second Piano"]
OUTPUTS = ["Synth One", "Synth Two"]
sent: list[mido.Message] = []
arriving: deque[list[int]] = deque()
"""Bytes as the device sends them, a chunk at a time."""
state = {"fails_after": -1, "is_open": 0}


def reset() -> None:
    """As after a fresh start."""
    sent.clear()
    arriving.clear()
    state.update(fails_after=-1, is_open=0)


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
