"""What plays on an output port, and knows at every moment what it must let go of."""

from __future__ import annotations

from contextlib import suppress

import mido

from perceiver_music.live.ports import Output, PortGone
from perceiver_music.live.tape import Tape
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.tokenizer.event_reader import Event

_ALL_NOTES_OFF = 123


class Hands:
    """Keys and pedal of one channel of a port.

    A key counts as down until its release has been sent: a port that refuses one message is not
    always gone, and what it still sounds must be let go of at the end.

    Args:
        port: where to play; None plays to nobody.
        channel: of the messages.
        tape: keeps what is played.
    """

    def __init__(self, port: Output | None, *, channel: int = 0, tape: Tape | None = None) -> None:
        self._port, self._channel, self._tape = port, channel, tape
        self._keys: set[int] = set()
        self._pedals: dict[int, int] = {}

    def play(self, event: Event, now: float) -> None:
        """Play one event; only notes and pedal are heard.

        Raises:
            PortGone: the port went away.
        """
        if event.name == "NOTE_ON":
            self.press(event.value, event.velocity, now)
        elif event.name == "NOTE_OFF":
            self.release(event.value, now)
        elif event.name == "PEDAL":
            self.move_pedal(event.value, now)

    def press(self, pitch: int, velocity: int, now: float) -> None:
        """Strike a key, letting go of it first where it is down."""
        self.release(pitch, now)
        self._keys.add(pitch)
        self._send("note_on", note=pitch, velocity=velocity)
        if self._tape is not None:
            self._tape.press(pitch, velocity, now)

    def release(self, pitch: int, now: float) -> None:
        """Let go of a key that is down."""
        if pitch in self._keys:
            if self._tape is not None:
                self._tape.release(pitch, now)
            self._send("note_off", note=pitch, velocity=64)
            self._keys.discard(pitch)

    def move_pedal(self, value: int, now: float, *, number: int = SUSTAIN_PEDAL) -> None:
        """Put a pedal where it should stand."""
        self._pedals[number] = value or self._pedals.get(number, 0)
        if self._tape is not None and number == SUSTAIN_PEDAL:
            self._tape.move_pedal(value, now)
        self._send("control_change", control=number, value=value)
        self._pedals[number] = value

    def silence(self, now: float) -> None:
        """Let go of everything; where the port is gone, at least of what we think is down."""
        for pitch in sorted(self._keys):
            with suppress(PortGone):
                self.release(pitch, now)
        for number, value in self._pedals.items():
            if value:
                with suppress(PortGone):
                    self.move_pedal(0, now, number=number)
        with suppress(PortGone):
            self._send("control_change", control=_ALL_NOTES_OFF, value=0)

    def _send(self, kind: str, **fields: int) -> None:
        if self._port is not None:
            self._port.send(mido.Message(kind, channel=self._channel, **fields))
