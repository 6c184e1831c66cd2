"""Where the FluidSynth C library comes from, and how it is loaded without a word on stdout.

Either the operating system has one, or the wheel of pygame-ce brings one (Linux and macOS), so
that sound needs no system package. The bindings are pyfluidsynth's, which look their library up
while they are imported and have no other way to be told; so they are imported here once for each
library, under a name of our own, with that look-up answered by us.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import importlib.util
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from perceiver_music.errors import UnavailableError, UsageError

logger = logging.getLogger(__name__)

SYNTHESIZERS = ("system", "pygame-ce")
"""Names for the user, in the order in which they are tried."""

INSTALL_HINT = (
    "Install one with `pip install pygame-ce`, `apt-get install libfluidsynth3` "
    "or `brew install fluid-synth`."
)

LOG_LEVELS = (logging.ERROR, logging.ERROR, logging.WARNING)
"""FluidSynth's levels panic, error and warning as Python's."""
UNHEARD_LOG_LEVELS = (3, 4)
"""Information and debug: a line for every sample of a SoundFont."""

_LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_importing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class FluidSynthLibrary:
    """A loaded FluidSynth.

    Attributes:
        source: one of `SYNTHESIZERS`.
        version: FluidSynth's own version.
        bindings: pyfluidsynth's module, bound to this library.
    """

    source: str
    version: str
    bindings: ModuleType

    @property
    def description(self) -> str:
        """For the user: what plays."""
        return f"FluidSynth {self.version} ({self.source})"


def load_fluidsynth(name: str | None = None) -> FluidSynthLibrary:
    """Load the synthesizer that the user named, else the first that works.

    Raises:
        UsageError: there is no synthesizer of that name.
        UnavailableError: it, or every one, is missing.
    """
    if name is not None and name not in SYNTHESIZERS:
        raise UsageError(
            f"there is no synthesizer named {name!r}", hint=f"Take {' or '.join(SYNTHESIZERS)}."
        )
    reasons = []
    for source in SYNTHESIZERS if name is None else (name,):
        path = library_path(source)
        if path is None:
            reasons.append(f"{source}: not found")
            continue
        try:
            return _load(source, path)
        except (ImportError, OSError, AttributeError) as error:
            reasons.append(f"{source}: {error}")
    raise UnavailableError(f"no synthesizer works ({'; '.join(reasons)})", hint=INSTALL_HINT)


def library_path(source: str) -> str | None:
    """What to hand to the dynamic loader for this source; None when it is not there."""
    return system_library_path() if source == "system" else wheel_library_path()


def system_library_path() -> str | None:
    """The operating system's libfluidsynth."""
    names = {
        "linux": ("libfluidsynth.so.3", "libfluidsynth.so.2"),
        "darwin": (
            "/opt/homebrew/lib/libfluidsynth.dylib",
            "/usr/local/lib/libfluidsynth.dylib",
        ),
        "win32": ("libfluidsynth-3.dll",),
    }.get(sys.platform, ())
    for name in names:
        # Asking the loader is a thousand times faster than find_library, which runs compilers.
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return name
    return None if sys.platform == "linux" else ctypes.util.find_library("fluidsynth")


def wheel_library_path() -> str | None:
    """The libfluidsynth that pygame-ce's wheel carries; its name holds a hash, hence the glob."""
    spec = importlib.util.find_spec("pygame")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    folders = (package.parent / "pygame_ce.libs", package / ".dylibs")
    found = [path for folder in folders for path in folder.glob("libfluidsynth*")]
    return str(sorted(found)[0]) if found else None


@functools.cache
def _load(source: str, path: str) -> FluidSynthLibrary:
    spec = importlib.util.find_spec("fluidsynth")
    if spec is None or spec.loader is None:
        raise ImportError("the Python package pyfluidsynth is not installed")
    bindings = importlib.util.module_from_spec(spec)
    with _importing, _find_library_answers(path), contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(bindings)
    if not hasattr(bindings, "new_fluid_synth"):
        raise ImportError("the installed package fluidsynth is not pyfluidsynth")
    _complete(bindings)
    _send_log_to_python(bindings)
    numbers = [ctypes.c_int() for _ in range(3)]
    bindings.fluid_version(*(ctypes.byref(number) for number in numbers))
    version = ".".join(str(number.value) for number in numbers)
    return FluidSynthLibrary(source=source, version=version, bindings=bindings)


@contextlib.contextmanager
def _find_library_answers(path: str) -> Iterator[None]:
    look_up: Any = ctypes.util
    original: Callable[[str], str | None] = look_up.find_library
    look_up.find_library = lambda name: path
    try:
        yield
    finally:
        look_up.find_library = original


def _complete(bindings: Any) -> None:
    """Declare the one function that we need and pyfluidsynth lacks: float samples."""
    integer, pointer = ctypes.c_int, ctypes.c_void_p
    write = bindings._fl.fluid_synth_write_float
    write.restype = integer
    write.argtypes = (pointer, integer, pointer, integer, integer, pointer, integer, integer)
    bindings.fluid_synth_write_float = write


def _send_log_to_python(bindings: Any) -> None:
    """FluidSynth writes to the process's stderr unless it is given a function."""

    @_LogFunction
    def receive(level: int, message: bytes, _data: object) -> None:
        logger.log(LOG_LEVELS[level], "FluidSynth: %s", message.decode(errors="replace"))

    set_log_function = bindings._fl.fluid_set_log_function
    set_log_function.restype = ctypes.c_void_p
    set_log_function.argtypes = (ctypes.c_int, _LogFunction, ctypes.c_void_p)
    for level in range(len(LOG_LEVELS)):
        set_log_function(level, receive, None)
    for level in UNHEARD_LOG_LEVELS:
        set_log_function(level, _LogFunction(), None)
    # The library keeps a bare pointer: the callback has to live as long as the bindings.
    bindings.log_receiver = receive
