"""SIGINT and SIGTERM unwind the stack, so that temporary files are removed, and are never lost.

An exception that a signal handler raises reaches nobody where Python frees something, and seldom
where it imports: libraries that come half loaded catch whatever is raised, and go on without what
they were loading, or are broken from then on. There the signal is put off for a moment.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Final

_MOMENT_SECONDS: Final = 0.02
_IMPORTING: Final = "<frozen importlib."


class Terminated(BaseException):
    """SIGTERM arrived."""


_RAISED: Final[dict[type[BaseException], signal.Signals]] = {
    KeyboardInterrupt: signal.SIGINT,
    Terminated: signal.SIGTERM,
}


def raise_on_signals() -> None:
    """Makes both signals raise, from the next place that lets what is raised through.

    A SIGINT that is ignored, as a shell has it of what runs in the background, stays so.
    """
    put_off, begun_by = _PutOff(), sys._getframe(1)
    for kind, number in _RAISED.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handler(kind, put_off, begun_by))
    put_off.watch_what_is_freed()


class _PutOff:
    """Signals that arrive again in a moment, each of them once."""

    def __init__(self) -> None:
        self._waiting: set[int] = set()

    def __call__(self, number: int) -> None:
        if number in self._waiting:
            return
        self._waiting.add(number)
        again = threading.Timer(_MOMENT_SECONDS, self._deliver, [number])
        again.daemon = True
        again.start()

    def _deliver(self, number: int) -> None:
        self._waiting.discard(number)
        if hasattr(signal, "pthread_kill"):  # also wakes the main thread
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)

    def watch_what_is_freed(self) -> None:
        """Puts off what was raised while something was freed, which Python only reports."""
        report_it = sys.unraisablehook

        def hook(unraisable: sys.UnraisableHookArgs) -> None:
            number = _RAISED.get(unraisable.exc_type)
            if number is None:
                report_it(unraisable)
            else:
                self(number)

        sys.unraisablehook = hook


def _handler(kind: type[BaseException], put_off: _PutOff, begun_by: FrameType) -> signal._HANDLER:
    def handle(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame, begun_by):
            put_off(number)
        else:
            raise kind

    return handle


def _is_importing(frame: FrameType | None, begun_by: FrameType) -> bool:
    """Whether an import is under way that the program began; one may have begun the program."""
    while frame is not None and frame is not begun_by:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False
