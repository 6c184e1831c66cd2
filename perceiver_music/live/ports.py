"""MIDI ports by name, through mido.

The backend is the one that MIDO_BACKEND names, else python-rtmidi where it is installed, else
PortMidi as pygame-ce brings it along on every system.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import mido

from perceiver_music.errors import UnavailableError, UsageError

MAX_SYSEX_BYTES: Final = 4096
_LIST: Final = "`perceiver-music duet --list-ports` shows the ports there are."
_NO_LIST: Final = "Name another backend in MIDO_BACKEND; `duet --midi-file FILE` needs no port."


class Output(Protocol):
    """Where messages go."""

    def send(self, message: mido.Message) -> None:
        """Send one."""

    def close(self) -> None:
        """Let go of the port."""


class Input(Protocol):
    """Where messages come from."""

    def poll(self) -> mido.Message | None:
        """The next one that has arrived, or None."""

    def close(self) -> None:
        """Let go of the port."""


class PortGone(UnavailableError):
    """A MIDI port went away while it was in use."""


@dataclass(frozen=True, kw_only=True)
class PortNames:
    """The ports of this machine."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    backend: str


def port_names() -> PortNames:
    """All ports, as their backend names them.

    Raises:
        UnavailableError: no backend works here.
    """
    backend = _backend()
    inputs, outputs = _names(backend, "input"), _names(backend, "output")
    return PortNames(inputs=tuple(inputs), outputs=tuple(outputs), backend=backend.name)


def open_output(name: str | None) -> Output:
    """An output port by its name or a part of it; None takes the first there is.

    Raises:
        UnavailableError: there is none, none of that name, or it cannot be opened.
        UsageError: several have that part in their names.
    """
    backend = _backend()
    chosen = _choose(name, _names(backend, "output"), "output")
    with _reporting(backend.name, hint=_LIST):
        return _SafeOutput(backend.open_output(chosen), chosen)


def check_output(name: str | None) -> None:
    """Find out whether `open_output` would find its port, without opening it.

    Raises:
        UnavailableError: there is none, or none of that name.
        UsageError: several have that part in their names.
    """
    backend = _backend()
    _choose(name, _names(backend, "output"), "output")


def open_input(name: str | None) -> Input:
    """An input port by its name or a part of it; None takes the first there is.

    Raises:
        UnavailableError: there is none, none of that name, or it cannot be opened.
        UsageError: several have that part in their names.
    """
    backend = _backend()
    chosen = _choose(name, _names(backend, "input"), "input")
    with _reporting(backend.name, hint=_LIST):
        return _SafeInput(backend.open_input(chosen), chosen)


def _backend() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or it greets on standard output
    name = os.environ.get("MIDO_BACKEND")
    if not name:
        has_rtmidi = importlib.util.find_spec("rtmidi") is not None
        name = "mido.backends.rtmidi" if has_rtmidi else "mido.backends.pygame"
    try:
        return mido.Backend(name, load=True)
    except (ImportError, OSError) as error:  # its module, or the C library beneath it
        raise UnavailableError(
            f"the MIDI backend {name} cannot be loaded: {error}",
            hint="Install pygame-ce or python-rtmidi, or name another one in MIDO_BACKEND.",
        ) from None


def _names(backend: Any, what: Literal["input", "output"]) -> list[str]:
    with _reporting(backend.name, hint=_NO_LIST):
        return list(backend.get_input_names() if what == "input" else backend.get_output_names())


@contextmanager
def _reporting(backend: str, *, hint: str) -> Iterator[None]:
    """Whatever a backend raises, as a failure of ours; what its C library prints, nowhere."""
    try:
        with _quiet_stderr():
            yield
    except Exception as error:  # each backend has its own kinds
        raise UnavailableError(
            f"MIDI does not work here ({backend}): {error}", hint=hint
        ) from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """ALSA tells standard error when a machine has no sound card, which is no news to anyone."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _choose(name: str | None, names: Sequence[str], what: str) -> str:
    if not names:
        raise UnavailableError(
            f"there is no MIDI {what} port",
            hint="Connect a device, or start a software synthesizer."
            + " `duet --midi-file FILE` needs neither." * (what == "input"),
        )
    if name is None or name in names:
        return name or names[0]
    found = [each for each in names if name.lower() in each.lower()]
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} MIDI {what} ports have {name!r} in their names",
            hint=f"Say more of the name: {', '.join(found)}.",
        )
    if not found:
        raise UnavailableError(
            f"there is no MIDI {what} port {name!r}", hint=f"There are: {', '.join(names)}."
        )
    return found[0]


class _SafeOutput:
    """An output port whose failures are ours."""

    def __init__(self, port: Any, name: str) -> None:
        self._port, self._name = port, name

    def send(self, message: mido.Message) -> None:
        try:
            self._port.send(message)
        except Exception as error:  # each backend has its own kinds
            raise _gone(self._name) from error

    def close(self) -> None:
        with suppress(Exception):
            self._port.close()


class _SafeInput:
    """An input port whose failures are ours, and which forgets a message without an end."""

    def __init__(self, port: Any, name: str) -> None:
        self._port, self._name = port, name
        with suppress(Exception):  # RtMidi would collect what we do not want
            port._rt.ignore_types(True, True, True)

    def poll(self) -> mido.Message | None:
        try:
            message = self._port.poll()
        except Exception as error:  # each backend has its own kinds
            raise _gone(self._name) from error
        self._forget_long_sysex()
        return message

    def _forget_long_sysex(self) -> None:
        """mido's parser keeps all of a system-exclusive message that never ends."""
        parser = getattr(getattr(self._port, "_parser", None), "_tok", None)
        if parser is not None and len(getattr(parser, "_bytes", ())) > MAX_SYSEX_BYTES:
            parser._bytes, parser._status = [], 0

    def close(self) -> None:
        with suppress(Exception):
            self._port.close()


def _gone(name: str) -> PortGone:
    return PortGone(f"the MIDI port {name!r} went away", hint="Connect it again, and start over.")
