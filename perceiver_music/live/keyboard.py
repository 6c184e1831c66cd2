"""What the player's messages mean, and a file that plays like a player."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import mido
import numpy as np
import numpy.typing as npt

from perceiver_music.live.clock import Clock
from perceiver_music.music.performance import MICROSECONDS, NoteArray, Performance
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.music.sustain import PEDAL_DOWN_VALUE

MOST_MESSAGES_AT_ONCE: Final = 1_000
"""Messages taken at one look; a flood waits its turn, and playing goes on meanwhile."""
OTHER_PEDALS: Final = (66, 67)
"""Sostenuto and soft: kept and passed on, and not heard by the model."""
_DRUMS: Final = 9
_UP, _MOVE, _DOWN, _UP_AT_ONCE = range(4)
"""Order at one moment: a key is let go before it is struck again, unless that is all it does."""


@dataclass(frozen=True)
class Cue:
    """The key or the pedal that hands over.

    Attributes:
        kind: a key of the keyboard, or a controller.
        number: the pitch, or the controller's number.
    """

    kind: Literal["key", "control"]
    number: int

    def is_given_by(self, message: mido.Message) -> bool:
        """Whether a message presses it."""
        if self.kind == "key":
            return is_press(message) and message.note == self.number
        return self.is_about(message) and message.value >= PEDAL_DOWN_VALUE

    def is_about(self, message: mido.Message) -> bool:
        """Whether a message is one of its own, no music."""
        if self.kind == "key":
            return message.type in ("note_on", "note_off") and message.note == self.number
        return message.type == "control_change" and message.control == self.number


def is_music(message: mido.Message) -> bool:
    """Whether a message is a note or a move of a controller, and no drum."""
    is_kind = message.type in ("note_on", "note_off", "control_change")
    return is_kind and message.channel != _DRUMS


def is_press(message: mido.Message) -> bool:
    """Whether a key goes down."""
    return message.type == "note_on" and message.velocity > 0


class FilePlayer:
    """A performance as an input port: its messages arrive when the music has come to them.

    Args:
        performance: is played from its first note on.
        clock: whose time it runs on; it begins at the first look.
        controls: with `time_us`, `number` and `value`; of these the other pedals are played.
    """

    def __init__(
        self,
        performance: Performance,
        clock: Clock,
        controls: npt.NDArray[np.void] | None = None,
    ) -> None:
        self._clock = clock
        self._start: float | None = None
        moves = [
            (int(move["time_us"]), SUSTAIN_PEDAL, int(move["value"])) for move in performance.pedal
        ]
        if controls is not None:
            others = controls[np.isin(controls["number"], OTHER_PEDALS)]
            moves += others[["time_us", "number", "value"]].tolist()
        self._messages = deque(_messages(performance.notes, moves))

    @property
    def is_over(self) -> bool:
        """Whether all has been played."""
        return not self._messages

    def poll(self) -> mido.Message | None:
        """The next message that is due, or None."""
        now = self._clock.now()
        if self._start is None:
            self._start = now
        if not self._messages or self._messages[0][0] > now - self._start:
            return None
        return self._messages.popleft()[1]

    def close(self) -> None:
        """Play no more."""
        self._messages.clear()


def _messages(
    notes: NoteArray, moves: Iterable[tuple[int, int, int]]
) -> list[tuple[float, mido.Message]]:
    """Seconds from the first note, and message; releases before pedals before onsets."""
    first_us = int(notes["start_us"].min()) if len(notes) else 0
    rows = _keys(notes)
    for time_us, number, value in moves:
        message = mido.Message("control_change", control=number, value=value)
        rows.append((max(time_us, first_us), _MOVE, message))
    rows.sort(key=lambda row: row[:2])
    times = (np.array([row[0] for row in rows]) - first_us) / MICROSECONDS
    return [(float(at), row[2]) for at, row in zip(times, rows, strict=True)]


def _keys(notes: NoteArray) -> list[tuple[int, int, mido.Message]]:
    """Microseconds, order at one moment, and message of every press and release.

    Parts of a file may share a key, which a keyboard has once: notes that begin together are one
    stroke, as loud as the loudest, and the key comes up when none of them holds it any more.
    """
    strokes: dict[tuple[int, int], tuple[int, int]] = {}
    for start_us, end_us, pitch, velocity in notes.tolist():
        until_us, loudest = strokes.get((start_us, pitch), (end_us, 1))
        strokes[start_us, pitch] = max(until_us, end_us), max(loudest, velocity)
    rows: list[tuple[int, int, mido.Message]] = []
    down: dict[int, tuple[int, int]] = {}
    for (start_us, pitch), (until_us, velocity) in sorted(strokes.items()):
        struck_us, held_us = down.get(pitch, (start_us, until_us))
        if struck_us < start_us and held_us <= start_us:
            rows.append(_release(pitch, struck_us, held_us))
        rows.append((start_us, _DOWN, mido.Message("note_on", note=pitch, velocity=velocity)))
        down[pitch] = start_us, max(until_us, held_us)
    return rows + [_release(pitch, *stroke) for pitch, stroke in down.items()]


def _release(pitch: int, struck_us: int, held_us: int) -> tuple[int, int, mido.Message]:
    order = _UP if held_us > struck_us else _UP_AT_ONCE
    return held_us, order, mido.Message("note_off", note=pitch)
