"""New music while it is made: to whoever asks for its events, or to a MIDI port in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Continuation
    from perceiver_music.generation.primer import Opening
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


class Sinks:
    """Several sinks in the place of one."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)

    def take(self, event: Event, *, is_drawn: bool) -> None:
        """See `EventSink`."""
        for sink in self._sinks:
            sink.take(event, is_drawn=is_drawn)

    def finish(self) -> None:
        """See `EventSink`."""
        for sink in self._sinks:
            sink.finish()


class _PortSink:
    def __init__(self, add: Callable[[Event], None], finish: Callable[[], None]) -> None:
        self._add, self._finish = add, finish

    def take(self, event: Event, *, is_drawn: bool) -> None:
        self._add(event)

    def finish(self) -> None:
        self._finish()


def streamed(
    growing: Iterator[Continuation], opening: Opening, sink: EventSink
) -> Iterator[Continuation]:
    """The same, each new event told to a sink before anything else is done with it."""
    reader = _Reader(opening)
    for music in growing:
        for event, is_drawn in reader.news(music):
            sink.take(event, is_drawn=is_drawn)
        yield music


def events_of(growing: Iterator[Continuation], opening: Opening) -> Iterator[tuple[Event, bool]]:
    """Each event, and whether it was drawn or only releases what sounds at the end."""
    reader = _Reader(opening)
    for music in growing:
        yield from reader.news(music)


class _Reader:
    """Reads what is new in music that grows."""

    def __init__(self, opening: Opening) -> None:
        from perceiver_music.tokenizer.event_reader import EventReader

        velocity = None if opening.velocity_bin is None else opening.velocity_bin + 1
        self._reader = EventReader(opening.vocabulary, velocity=velocity)
        self._num_drawn = self._num_closing = 0

    def news(self, music: Continuation) -> Iterator[tuple[Event, bool]]:
        for token in music.ids[self._num_drawn :]:
            yield self._reader.read(token), True
        self._num_drawn = len(music.ids)
        for token in music.closing[self._num_closing :]:
            yield self._reader.read(token), False
        self._num_closing = len(music.closing)


def check_port(port_name: str) -> None:
    """Find, before any model is loaded, whether there is a port to play on.

    Raises:
        UnavailableError: there is no such port.
        UsageError: several ports have that part in their names.
    """
    from perceiver_music.live.ports import check_output

    check_output(port_name)


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
