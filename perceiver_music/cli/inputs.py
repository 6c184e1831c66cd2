"""The files that a command's words mean: files, folders, globs, standard input.

The order is the words' own; what a folder or a glob holds is sorted by its bytes. A word that
leads to nothing becomes an input that fails on its own, so that it never stops the others.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perceiver_music.bundled import bundled_primers
from perceiver_music.cli.console import stream_is_terminal
from perceiver_music.errors import (
    InvalidInputError,
    PerceiverMusicError,
    StorageError,
    UnavailableError,
    UsageError,
)
from perceiver_music.music.midi_chunks import MIDI_SUFFIXES

STDIN = "-"
LARGEST_STDIN_BYTES = 64 << 20
"""Of any kind: a list of paths, ids, or a MIDI file, whose reader takes less."""
_HEADERS = (b"MThd", b"RIFF")
_HEADER_SEARCH_BYTES = 1024
_LONGEST_PATH_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """One input.

    Attributes:
        name: what messages and JSON call it; `-` for standard input.
        path: where it lies; None for standard input.
        data: the bytes that came by standard input, else None.
        failure: why there is nothing to read; then the two above are None.
        is_found: whether a folder or a glob led to it, and not its own name.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    failure: PerceiverMusicError | None = None
    is_found: bool = False

    @classmethod
    def nothing(cls, stem: str) -> InputFile:
        """No input at all, of a command that makes something from nothing."""
        return cls(name=stem)

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to read, and nothing was to be read."""
        return self.path is None and self.data is None and self.failure is None

    @property
    def stem(self) -> str:
        """The name without folder and suffix; `stdin` for standard input."""
        if self.is_nothing:
            return self.name
        return "stdin" if self.path is None else self.path.stem

    @property
    def file_path(self) -> Path:
        """The path, for jobs that read files alone.

        Raises:
            PerceiverMusicError: the failure that this input is.
            UsageError: it is a file on standard input.
        """
        source = self.source
        if isinstance(source, Path):
            return source
        raise UsageError("this command takes no MIDI file on standard input", hint="Name the file.")

    @property
    def source(self) -> Path | bytes:
        """What a job reads.

        Raises:
            PerceiverMusicError: the failure that this input is.
        """
        if self.failure is not None:
            raise self.failure
        if self.path is not None:
            return self.path
        assert self.data is not None
        return self.data


def resolve_inputs(words: Sequence[str]) -> tuple[InputFile, ...]:
    """All inputs that the words mean, each once.

    Args:
        words: paths of files and folders, globs, and `-` for standard input: one file, or a list
            of paths, one a line or separated by NUL.

    Raises:
        UsageError: standard input is asked for twice, or is a terminal.
    """
    if sum(word == STDIN for word in words) > 1:
        raise UsageError("standard input can be read only once", hint="Give '-' once.")
    found: dict[bytes, InputFile] = {}
    for word in words:
        inputs = _from_stdin() if word == STDIN else _from_word(word)
        for item in inputs:
            found.setdefault(os.fsencode(item.name), item)
    return tuple(found.values())


def listed_on_stdin(words: Sequence[str]) -> tuple[str, ...]:
    """The words, with the list of paths that arrives on standard input in the place of `-`.

    Raises:
        UsageError: standard input is asked for twice, is a terminal or brings no list.
    """
    result: list[str] = []
    for word in words:
        if word != STDIN:
            result.append(word)
            continue
        for item in resolve_inputs(words if words.count(STDIN) > 1 else [STDIN]):
            result.append(os.fspath(item.file_path))
    return tuple(result)


def _from_word(word: str) -> Iterator[InputFile]:
    if os.path.isdir(word):  # noqa: PTH112 (answers False for names that no system can have)
        yield from _from_folder(word)
    elif glob.has_magic(word) and not os.path.lexists(word):
        matches = sorted(glob.glob(word, recursive=True), key=os.fsencode)  # noqa: PTH207
        if not matches:
            yield _failed(word, StorageError, "nothing matches it", "Check the pattern.")
        for match in matches:
            if os.path.isdir(match):  # noqa: PTH112
                yield from _from_folder(match)
            else:
                yield InputFile(name=match, path=Path(match), is_found=True)
    elif not word or "\0" in word:
        yield _failed(word, StorageError, "an empty name is no file", "Give a path.")
    elif (missing := missing_primer(word)) is not None:
        yield InputFile(name=word, failure=missing)
    else:
        yield InputFile(name=word, path=Path(word))


def missing_primer(word: str) -> StorageError | None:
    """Where nothing is at a path whose name, more or less, is that of a bundled primer: that."""
    if os.path.lexists(word):
        return None
    try:
        primers = {primer.stem: primer for primer in bundled_primers().glob("*.mid")}
    except UnavailableError:
        return None
    found = primers.get(os.path.splitext(os.path.basename(word))[0].lower())  # noqa: PTH119, PTH122
    if found is None:
        return None
    return StorageError(
        "no such file or directory",
        path=word,
        hint=f"A primer of that name comes with the program: {shlex.quote(os.fspath(found))}",
    )


def _is_no_file(path: str) -> bool:
    """Whether it is a pipe, a socket or a device, which nobody meant who named the folder."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113


def _from_folder(folder: str) -> Iterator[InputFile]:
    paths: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [
            os.path.join(parent, name)  # noqa: PTH118 (keeps `./` and undecodable bytes as given)
            for name in names
            if os.path.splitext(name)[1].lower() in MIDI_SUFFIXES  # noqa: PTH122
            and not name.startswith(".")
            and not _is_no_file(os.path.join(parent, name))  # noqa: PTH118
        ]
    if not paths:
        endings = ", ".join(MIDI_SUFFIXES)
        yield _failed(folder, InvalidInputError, f"no file in it ends in {endings}")
    for path in sorted(paths, key=os.fsencode):
        yield InputFile(name=path, path=Path(path), is_found=True)


def _from_stdin() -> Iterator[InputFile]:
    data = read_stdin()
    if any(header in data[:_HEADER_SEARCH_BYTES] for header in _HEADERS):
        yield InputFile(name=STDIN, data=data)
        return
    words = _listed_words(data)
    if not words:
        message = "neither a MIDI file nor a list of files" if data else "nothing arrived"
        yield _failed(
            STDIN,
            InvalidInputError,
            f"standard input: {message}",
            "Pipe a MIDI file, or paths, one a line.",
        )
    for word in words:
        yield from _from_word(word)


def read_stdin() -> bytes:
    """All of standard input.

    Raises:
        UsageError: it is a terminal.
        StorageError: it is closed or cannot be read.
        InvalidInputError: there is too much of it.
    """
    if stream_is_terminal(sys.stdin):
        raise UsageError(
            "standard input is a terminal",
            hint="Pipe a file into it ('perceiver-music ... - < primer.mid'), or name a file.",
        )
    if sys.stdin is None:
        raise StorageError("standard input is closed", hint="Pipe a file into it, or name one.")
    try:
        data = sys.stdin.buffer.read(LARGEST_STDIN_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot read standard input: {error.strerror}") from error
    if len(data) > LARGEST_STDIN_BYTES:
        raise InvalidInputError(
            f"standard input is larger than {LARGEST_STDIN_BYTES:,} bytes", hint="Name the file."
        )
    return data


def _listed_words(data: bytes) -> list[str]:
    """The paths in `data`, when at least one of them leads somewhere; else nothing."""
    separator = b"\0" if b"\0" in data else b"\n"
    lines = [line.removesuffix(b"\r") for line in data.split(separator)]
    lines = [line for line in lines if line]
    if any(len(line) > _LONGEST_PATH_BYTES for line in lines):
        return []
    words = [os.fsdecode(line) for line in lines]
    leads_somewhere = any(
        os.path.lexists(word) or (glob.has_magic(word) and glob.glob(word, recursive=True))  # noqa: PTH207
        for word in words
        if "\0" not in word
    )
    return words if leads_somewhere else []


def _failed(
    word: str, failure: type[PerceiverMusicError], message: str, hint: str | None = None
) -> InputFile:
    path = None if word == STDIN else word
    return InputFile(name=word, failure=failure(message, path=path, hint=hint))
