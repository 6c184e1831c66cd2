"""Player and machine in turn: it listens, answers in a pause, and stops when the player goes on.

`Duet` is told the time and never waits, so that a test can let an hour go by in a moment. One
thread looks at the ports every few milliseconds (`tick`); another makes the answers (`wanted`,
`give`, `complete`), and is free to be slower than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import mido

from perceiver_music.live.hands import Hands
from perceiver_music.live.keyboard import (
    MOST_MESSAGES_AT_ONCE,
    OTHER_PEDALS,
    Cue,
    FilePlayer,
    is_music,
    is_press,
)
from perceiver_music.live.playback import Playback
from perceiver_music.live.ports import Input, Output
from perceiver_music.live.tape import Tape, together
from perceiver_music.music.performance import MICROSECONDS, Performance
from perceiver_music.music.piano_part import SUSTAIN_PEDAL
from perceiver_music.tokenizer.event_reader import Event

CONTEXT_NOTES: Final = 3_000
"""So many of each one's latest notes are told to the model: more than its context holds."""
HELD_PAUSE_FACTOR: Final = 3.0
"""A pause in which keys are held has to be so many times as long: a fermata is no invitation, but
a key whose release got lost must not keep the machine waiting for ever."""


@dataclass(frozen=True, kw_only=True)
class DuetOptions:
    """When the machine answers.

    Attributes:
        pause_seconds: of silence that ask for an answer; None waits for the cue alone.
        cue: asks for an answer at once, and ends one that is being played.
        through: play on the output what the player plays, too.
    """

    pause_seconds: float | None = 1.0
    cue: Cue | None = None
    through: bool = False


@dataclass(frozen=True, kw_only=True)
class Turn:
    """An answer that is wanted.

    Attributes:
        number: of the answer, from 1.
        performance: the conversation so far.
        from_us: from when on nothing is missing of it.
        at_us: where the answer begins.
        held: keys that the player still holds, and that are not to be struck.
    """

    number: int
    performance: Performance
    from_us: int
    at_us: int
    held: frozenset[int] = frozenset()


class Duet:
    """One conversation.

    Args:
        source: where the player is heard.
        output: where the machine plays; None plays to nobody.
        options: when it answers.
        now: the moment it begins.
        on_turn: told `listening` or `answering` whenever that changes.
    """

    def __init__(
        self,
        source: Input,
        output: Output | None,
        options: DuetOptions,
        *,
        now: float,
        on_turn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.player, self.machine = Tape(now), Tape(now)
        self.num_answers = 0
        """How many could be heard; one may be ended before its first note."""
        self._turn_number = self._notes_before = 0
        self._is_heard = False
        self._source, self._options, self._on_turn = source, options, on_turn
        self._hands = Hands(output, channel=0, tape=self.machine)
        self._through = Hands(output, channel=1) if options.through else None
        self._lock = threading.Lock()
        self._start = now
        self._last_heard = now
        self._has_news = False
        self._wanted: Turn | None = None
        self._playback: Playback | None = None

    # What the thread at the ports does.

    def tick(self, now: float) -> None:
        """Listen and play at this moment.

        Raises:
            PortGone: a port went away.
        """
        with self._lock:
            for _ in range(MOST_MESSAGES_AT_ONCE):
                message = self._source.poll()
                if message is None:
                    break
                if is_music(message):
                    self._hear(message, now)
            if self._playback is not None:
                self._playback.pump(now)
                self._count_what_is_heard()
                if self._playback.is_over:
                    self._stop_answering(now)
            elif self._is_turn_over(now):
                self._ask(now)

    @property
    def is_over(self) -> bool:
        """Whether the player is a file that has ended, and its last answer has been played."""
        with self._lock:
            has_ended = isinstance(self._source, FilePlayer) and self._source.is_over
            is_asked = self._has_news and self._options.pause_seconds is not None
            return has_ended and self._playback is None and not is_asked

    def silence(self, now: float) -> None:
        """Let go of everything."""
        with self._lock:
            self._stop_answering(now)
            self._hands.silence(now)
            if self._through is not None:
                self._through.silence(now)

    def _hear(self, message: mido.Message, now: float) -> None:
        cue = self._options.cue
        if cue is not None and cue.is_about(message):
            if cue.is_given_by(message):
                if self._playback is not None:
                    self._stop_answering(now)
                elif self.player.total_notes:
                    self._ask(now)
            return
        if is_press(message):
            self._begin_with_first_note(now)
            if self._playback is not None:
                self._stop_answering(now)
            self._has_news = True
            self._last_heard = now
            self.player.press(message.note, message.velocity, now)
        elif message.type in ("note_on", "note_off"):
            self._last_heard = now
            self.player.release(message.note, now)
        elif message.control == SUSTAIN_PEDAL:
            self.player.move_pedal(message.value, now)
        elif message.control in OTHER_PEDALS:
            self.player.move_other_pedal(message.control, message.value, now)
        self._pass_on(message, now)

    def _begin_with_first_note(self, now: float) -> None:
        """The conversation counts from its first note, however long the player made it wait."""
        if not self.player.total_notes:
            self._start = now
            self.player.restart(now)
            self.machine.restart(now)

    def _pass_on(self, message: mido.Message, now: float) -> None:
        if self._through is None:
            return
        if is_press(message):
            self._through.press(message.note, message.velocity, now)
        elif message.type in ("note_on", "note_off"):
            self._through.release(message.note, now)
        elif message.control in (SUSTAIN_PEDAL, *OTHER_PEDALS):
            self._through.move_pedal(message.value, now, number=message.control)

    def _is_turn_over(self, now: float) -> bool:
        if not self._has_news:
            return False
        has_ended = isinstance(self._source, FilePlayer) and self._source.is_over
        pause = self._options.pause_seconds
        if pause is None:
            return False
        factor = HELD_PAUSE_FACTOR if self.player.keys_down and not has_ended else 1.0
        return now - self._last_heard >= pause * factor

    def _ask(self, now: float) -> None:
        self._turn_number += 1
        self._has_news = self._is_heard = False
        self._notes_before = self.machine.total_notes
        self._playback = Playback(self._hands)
        performance, from_us = together((self.player, self.machine), now, latest=CONTEXT_NOTES)
        self._wanted = Turn(
            number=self._turn_number,
            performance=performance,
            from_us=from_us,
            at_us=round((now - self._start) * MICROSECONDS),
            held=self.player.keys_down,
        )
        self._on_turn("answering")

    def _count_what_is_heard(self) -> None:
        if not self._is_heard and self.machine.total_notes > self._notes_before:
            self._is_heard = True
            self.num_answers += 1

    def _stop_answering(self, now: float) -> None:
        self._wanted = None
        if self._playback is not None:
            self._playback = None
            self._hands.silence(now)
            self._on_turn("listening")

    # What the thread that makes the answers does.

    def wanted(self) -> Turn | None:
        """An answer to be made, once."""
        with self._lock:
            turn, self._wanted = self._wanted, None
            return turn

    def give(self, turn: Turn, event: Event) -> bool:
        """The next event of an answer; False when nobody wants it any more."""
        with self._lock:
            if self._playback is None or turn.number != self._turn_number:
                return False
            self._playback.add(event)
            return True

    def complete(self, turn: Turn) -> None:
        """An answer has been made to its end."""
        with self._lock:
            if self._playback is not None and turn.number == self._turn_number:
                self._playback.complete()

    def seconds_ahead(self, now: float) -> float:
        """How much of the answer waits to be played."""
        with self._lock:
            return 0.0 if self._playback is None else self._playback.seconds_ahead(now)
