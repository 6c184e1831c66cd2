"""`--stream` and `--port`: where the events of a piece go while it is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from perceiver_music import __version__
from perceiver_music.cli.invocation import Invocation

if TYPE_CHECKING:
    from perceiver_music.jobs.streaming import EventSink
    from perceiver_music.tokenizer.event_reader import Event

EVENT_SCHEMA = "event/1"


class _Wanted(Protocol):
    @property
    def stream(self) -> bool: ...
    @property
    def port(self) -> str | None: ...


@contextmanager
def streaming(invocation: Invocation, call: _Wanted, index: int) -> Iterator[EventSink | None]:
    """Where the events of one item go; None when nobody asked for them.

    Raises:
        UnavailableError: there is no such port, or it went away.
        UsageError: several ports go by that name.
    """
    if not call.stream and call.port is None:
        yield None
        return
    from perceiver_music.jobs.streaming import CallbackSink, Sinks, played_on

    with ExitStack() as stack:
        sinks: list[EventSink] = []
        if call.stream:
            sinks.append(CallbackSink(_Printer(invocation, index)))
        if call.port is not None:
            sinks.append(stack.enter_context(played_on(call.port)))
        yield Sinks(sinks)


class _Printer:
    """Prints an event as a line of JSON."""

    def __init__(self, invocation: Invocation, index: int) -> None:
        self._invocation, self._index = invocation, index

    def __call__(self, event: Event, is_drawn: bool) -> None:
        self._invocation.console.json(
            {
                "schema": EVENT_SCHEMA,
                "version": __version__,
                "index": self._index,
                "time": event.seconds,
                "id": event.token,
                "name": event.name,
                "value": event.value,
                "drawn": is_drawn,
                "elapsed_seconds": round(time.perf_counter() - self._invocation.started, 6),
            }
        )
