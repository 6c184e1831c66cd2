"""The only printer: results to standard output, everything else to standard error.

Nothing else writes to either stream. Results are bytes written at once and to the last of them
(`standard_output`), so that a full disk or a reader that went away is noticed here, where it can
be told apart from any other failure.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from perceiver_music.cli.standard_output import write_to_stdout
from perceiver_music.errors import PerceiverMusicError

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from perceiver_music.jobs.progress import ProgressCallback
    from perceiver_music.view.terminal_cells import Cell

LINES_WITHOUT_A_TERMINAL = 40
"""Height of what is drawn for a file or a pipe."""


def printable(text: str) -> str:
    """`text` on one line: control characters and undecodable bytes as `\\xNN`."""
    return "".join(_printable_character(character) for character in text)


def _printable_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _one_line(text: str) -> str:
    """`text` without the line breaks that a name may hold, as `\\n` and `\\r`; else unchanged."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _encoded(text: str) -> bytes:
    """`text` as the file system spells it; signs that it cannot spell, such as bars, as UTF-8."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


class _ForgivingStream:
    """Standard error, whose own failure must never become ours."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._stream = None
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        return stream_is_terminal(self._stream)

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("standard error is closed")
        return self._stream.fileno()


def stream_is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person sits at the other end; False for a closed stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Console:
    """One command's way to speak, as `--json`, `--quiet`, `--verbose` and `--debug` ask."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
        command: str = "",
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose or debug
        self.debug = debug
        self.command = command
        self._rich: RichConsole | None = None
        self._said: set[str] = set()

    # Standard output: results.

    def line(self, text: str) -> None:
        """Prints one line of a result."""
        self.lines([text])

    def lines(self, texts: Iterable[str]) -> None:
        """Prints many lines of a result at once."""
        self.binary(b"".join(_encoded(_one_line(text)) + b"\n" for text in texts))

    def paragraph(self, text: str, *, indent: str = "") -> None:
        """Prints a sentence, on several lines where a terminal or COLUMNS is too narrow for one.

        The first line is indented, the others a little more.
        """
        if not (stream_is_terminal(sys.stdout) or "COLUMNS" in os.environ):
            self.line(indent + text)
            return
        self.lines(
            textwrap.wrap(
                text,
                shutil.get_terminal_size().columns,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )

    def path(self, path: str | os.PathLike[str]) -> None:
        """Prints a path that was written, byte for byte as the file system has it.

        Only a line break in it is not printed as one: whoever reads one path a line would take it
        for two.
        """
        name = os.fspath(path)
        self.line(name)
        if _one_line(name) != name:
            self.warning(f"{name}: a line break in its name is written so; --json has it as it is")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Prints aligned columns under their names."""
        lines = [list(columns), *([printable(cell) for cell in row] for row in rows)]
        widths = [max(len(cells[i]) for cells in lines) for i in range(len(columns))]
        for cells in lines:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            self.line("  ".join(padded).rstrip())

    def roll(self, make: Callable[..., Iterable[Sequence[Cell]]]) -> None:
        """Prints lines of coloured cells, in colours if standard output takes them.

        Args:
            make: gives the lines for `columns`, `lines` and `has_colour`.
        """
        from rich.console import Console as RichConsole
        from rich.style import Style
        from rich.text import Text

        rich = RichConsole(file=sys.stdout, highlight=False, markup=False, emoji=False)
        has_colour = rich.color_system is not None and not rich.no_color
        height = rich.height - 2 if rich.is_terminal else LINES_WITHOUT_A_TERMINAL
        with rich.capture() as capture:
            for cells in make(columns=rich.width, lines=height, has_colour=has_colour):
                line = Text()
                for cell in cells:
                    line.append(printable(cell.text), Style(color=cell.colour, bgcolor=cell.ground))
                rich.print(line, soft_wrap=True)
        self.binary(capture.get().encode())

    def json(self, fields: Mapping[str, object]) -> None:
        """Prints one JSON object on one line, in ASCII, so that it survives any locale."""
        self.line(json.dumps(_as_json_can_hold(fields), allow_nan=False))

    def binary(self, data: bytes) -> None:
        """Writes `data` to standard output.

        Raises:
            ReaderGone: the reader of our pipe went away.
            StorageError: there is no standard output, or it is full.
        """
        write_to_stdout(data)

    # Standard error: everything else.

    @property
    def rich(self) -> RichConsole:
        """Rich's console on standard error, made when first needed (Rich is slow to import)."""
        if self._rich is None:
            from rich.console import Console as RichConsole

            stream = cast("IO[str]", _ForgivingStream(sys.stderr))
            self._rich = RichConsole(file=stream, highlight=False, markup=False, emoji=False)
        return self._rich

    def info(self, text: str) -> None:
        """What the user should know: the seed that was drawn, the device that was chosen."""
        if not self.quiet:
            self._say(text)

    def info_once(self, text: str) -> None:
        """The same, unless it was said before."""
        if text not in self._said:
            self._said.add(text)
            self.info(text)

    def warning(self, text: str) -> None:
        """Something odd that did not stop us."""
        if not self.quiet:
            self._say(text, label="warning", style="yellow")

    def detail(self, text: str) -> None:
        """What only `--verbose` shows."""
        if self.verbose and not self.quiet:
            self._say(text, style="dim")

    def error(self, failure: PerceiverMusicError, *, hint: str) -> None:
        """The two lines of a failure: what is wrong with which file, and what to do."""
        self._say(str(failure), label="error", style="bold red")
        self._say(hint, label="hint", style="cyan")

    def failure_summary(self, text: str) -> None:
        """The end of a batch in which something failed."""
        self._say(text, label="error", style="bold red")

    def traceback(self, text: str) -> None:
        """A bug's traceback, under `--debug` alone."""
        if self.debug:
            self.rich.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, *, plain_lines: bool = False) -> Iterator[ProgressCallback]:
        """Shows a job's progress while the block runs.

        Args:
            title: what is being done, a word or two.
            plain_lines: without a terminal, print a line now and then instead of nothing.
        """
        from perceiver_music.cli import progress_display
        from perceiver_music.jobs.progress import no_progress

        if self.quiet:
            yield no_progress
        elif self.rich.is_terminal and not self.rich.is_dumb_terminal:
            with progress_display.bar(self.rich, title) as callback:
                yield callback
        elif plain_lines:
            yield progress_display.PlainLines(self.info)
        else:
            yield no_progress

    def _say(self, text: str, *, label: str = "", style: str = "") -> None:
        from rich.text import Text

        line = Text(f"{label}: " if label else "", style=style)
        line.append(printable(text), style="" if label else style)
        self.rich.print(line, soft_wrap=True)


def _as_json_can_hold(value: object) -> object:
    """The same without what strict readers of JSON refuse.

    It has no infinity (the level of silence, in decibels), which becomes null, and no bytes: those
    of a name that is not UTF-8 become `\\xNN`, as on standard error.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_unicode(str(key)): _as_json_can_hold(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json_can_hold(item) for item in value]
    if isinstance(value, os.PathLike):
        return _unicode(os.fspath(value))
    return _unicode(value) if isinstance(value, str) else value


def _unicode(text: str) -> str:
    """`text` without lone surrogates."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # those of no file name
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")
