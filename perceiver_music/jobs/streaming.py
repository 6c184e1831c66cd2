"""New music while it is made: to whoever asks for its events, or to a MIDI port in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perceiver_music.tokenizer.event_reader import Event


class EventSink(Protocol):
    """Where the events of one piece go as soon as they are there."""

    def take(self, event: Event, *, is_drawn: bool) -> None:
        """The next event, `seconds` from the start of the new music.

        Args:
            event: in order of time.
            is_drawn: False for those that only release what still sounds at the end.
        """

    def finish(self) -> None:
        """Nothing more comes; returns when all has been used."""


class CallbackSink:
    """Calls a function with every event."""

    def __init__(self, function: Callable[[Event, bool], None]) -> None:
        self._function = function

    def take(self, event: Event, *, is_drawn: bool) -> None:
        """See `EventSink`."""
        self._function(event, is_drawn)

    def finish(self) -> None:
        """Nothing is left to be done."""


class _PortSink:
    def __init__(self, add: Callable[[Event], None], finish: Callable[[], None]) -> None:
        self._add, self._finish = add, finish

    def take(self, event: Event, *, is_drawn: bool) -> None:
        self._add(event)

    def finish(self) -> None:
        self._finish()


@contextmanager
def played_on(port_name: str) -> Iterator[EventSink]:
    """A sink that plays on a MIDI port; whatever happens, nothing goes on sounding there.

    Args:
        port_name: its name or a part of it.

    Raises:
        UnavailableError: there is no such port, it cannot be opened, or it went away.
        UsageError: several ports have that part in their names.
    """
    from perceiver_music.live.port_stream import PortStream
    from perceiver_music.live.ports import open_output

    with PortStream(open_output(port_name)) as stream:
        yield _PortSink(stream.add, stream.finish)
