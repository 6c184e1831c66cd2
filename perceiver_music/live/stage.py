"""Runs a duet: at the ports in one thread and the answers in another, or all in one at no time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

from perceiver_music.live.clock import Clock, FreeClock
from perceiver_music.live.duet import Duet, Turn
from perceiver_music.tokenizer.event_reader import Event

TICK_SECONDS: Final = 0.002
MOST_SECONDS_AHEAD: Final = 8.0
"""No more than this is made ahead of what is played: the player may end it at any moment."""
_NAP_SECONDS: Final = 0.02

Answer = Callable[[Turn], Iterator[Event]]


def perform(duet: Duet, answer: Answer, clock: Clock) -> None:
    """Listen and answer until the player, if that is a file, has ended; else until interrupted.

    Signals interrupt the main thread alone, so the other one lets go of the keys at the end,
    however that came.

    Raises:
        PortGone: a port went away.
    """
    at_ports = _AtPorts(duet, clock)
    at_ports.start()
    try:
        while at_ports.is_alive():
            turn = duet.wanted()
            if turn is None:
                at_ports.join(_NAP_SECONDS)
            else:
                _answer(duet, turn, answer, clock, at_ports)
    finally:
        at_ports.is_stopped = True
        at_ports.join()
    if at_ports.failure is not None:
        raise at_ports.failure


def _answer(duet: Duet, turn: Turn, answer: Answer, clock: Clock, at_ports: _AtPorts) -> None:
    for event in answer(turn):
        if not duet.give(turn, event):
            return
        while duet.seconds_ahead(clock.now()) > MOST_SECONDS_AHEAD and at_ports.is_alive():
            at_ports.join(_NAP_SECONDS)
        if not at_ports.is_alive():
            return
    duet.complete(turn)


class _AtPorts(threading.Thread):
    """Looks at the ports every few milliseconds."""

    def __init__(self, duet: Duet, clock: Clock) -> None:
        super().__init__(name="midi-duet")
        self._duet, self._clock = duet, clock
        self.is_stopped = False
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.is_stopped and not self._duet.is_over:
                self._duet.tick(self._clock.now())
                self._clock.sleep(TICK_SECONDS)
        except BaseException as failure:  # raised again where it is seen
            self.failure = failure
        finally:
            self._duet.silence(self._clock.now())


def rehearse(duet: Duet, answer: Answer, clock: FreeClock) -> None:
    """The same with nobody listening: an answer is there as soon as it is wanted.

    Raises:
        PortGone: a port went away.
    """
    growing: tuple[Turn, Iterator[Event]] | None = None
    try:
        while not duet.is_over:
            duet.tick(clock.now())
            turn = duet.wanted()
            if turn is not None:
                growing = turn, answer(turn)
            if growing is not None and not _grow(duet, *growing, clock):
                growing = None
            clock.sleep(TICK_SECONDS)
    finally:
        duet.silence(clock.now())


def _grow(duet: Duet, turn: Turn, events: Iterator[Event], clock: FreeClock) -> bool:
    """Make an answer as far as is wanted; False when there is no more of it to make."""
    while duet.seconds_ahead(clock.now()) <= MOST_SECONDS_AHEAD / 8:
        event = next(events, None)
        if event is None:
            duet.complete(turn)
            return False
        if not duet.give(turn, event):
            return False
    return True
