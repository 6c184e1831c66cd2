"""New music on a MIDI port while it is made: a thread plays, so that making it holds nothing up."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

from perceiver_music.live.clock import Clock, SystemClock
from perceiver_music.live.hands import Hands
from perceiver_music.live.playback import Playback
from perceiver_music.live.ports import Output
from perceiver_music.tokenizer.event_reader import Event

_LONGEST_NAP_SECONDS: Final = 0.02


class PortStream:
    """Plays what it is given in real time; as a context, leaves nothing sounding behind.

    Signals interrupt the main thread alone, so the thread that plays is the one that lets go of
    the keys at the end, however that came.
    """

    def __init__(self, port: Output, *, clock: Clock | None = None) -> None:
        self._port = port
        self._clock = clock or SystemClock()
        self._hands = Hands(port)
        self._playback = Playback(self._hands)
        self._lock = threading.Lock()
        self._is_stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._play, name="midi-stream")

    def __enter__(self) -> PortStream:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped = True
        self._thread.join()

    def add(self, event: Event) -> None:
        """Take the next event.

        Raises:
            PortGone: the port went away.
        """
        self._check()
        with self._lock:
            self._playback.add(event)

    def finish(self) -> None:
        """Wait until all has been played.

        Raises:
            PortGone: the port went away.
        """
        with self._lock:
            self._playback.complete()
        while self._thread.is_alive():
            self._thread.join(_LONGEST_NAP_SECONDS)  # short, so that a signal is noticed
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _play(self) -> None:
        try:
            while not self._is_stopped:
                with self._lock:
                    if self._playback.is_over:
                        break
                    wait = self._playback.pump(self._clock.now())
                nap = _LONGEST_NAP_SECONDS if wait is None else min(wait, _LONGEST_NAP_SECONDS)
                self._clock.sleep(nap)
        except BaseException as failure:  # raised again where it is seen
            self._failure = failure
        finally:
            self._hands.silence(self._clock.now())
            self._port.close()
