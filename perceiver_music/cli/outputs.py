"""Where results go: `-o FILE`, `-o FOLDER/`, a template, `-`, or a name of our choosing.

Names are settled before any work: two items that would write the same file are refused while
nothing is lost. What exists is checked here first, cheaply; the writer checks again when it
publishes, and only that counts.
"""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from perceiver_music.cli.console import stream_is_terminal
from perceiver_music.cli.inputs import InputFile
from perceiver_music.errors import OutputExistsError, UsageError

STDOUT = "-"
MIDI_ENDINGS = (".mid", ".midi")
FIELDS = ("stem", "index", "seed", "checkpoint")
_NOT_IN_NAMES = re.compile(r"[\r\n\0/\\]" if os.sep == "\\" else r"[\r\n\0/]")
_SPECIFICATION = re.compile(r"[<>=^]?0?\d{0,2}[ds]?")
"""The forms that a field may take: wide enough for any number, and never a memory bomb."""


@dataclass(frozen=True, kw_only=True)
class NameParts:
    """What the fields of a template become for one item."""

    stem: str
    index: int | None = None
    seed: int | None = None
    checkpoint: str | None = None

    def available(self) -> dict[str, str | int]:
        """The fields that this item has; none brings a folder or a line break into a name."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {
            name: _NOT_IN_NAMES.sub("_", value) if isinstance(value, str) else value
            for name, value in values.items()
            if value is not None
        }


@dataclass(frozen=True, kw_only=True)
class OutputNames:
    """How the outputs of one command are named.

    Attributes:
        wanted: the word after `-o`; None takes `default` in the current folder.
        default: template of a file's name for folders and for no word at all.
        numbered: whether one input has several outputs, so that their index must show.
        fields: what a template may ask for: the parts that the command's outputs have.
    """

    wanted: str | None
    default: str
    numbered: bool = False
    fields: tuple[str, ...] = ("stem",)

    def __post_init__(self) -> None:
        if self.wanted == "":
            raise UsageError("-o needs a name", hint="Give a file, a folder/, a template or '-'.")
        _check_template(self.template, self.fields)

    @property
    def to_stdout(self) -> bool:
        """Whether the file itself goes to standard output."""
        return self.wanted == STDOUT

    @property
    def template(self) -> str:
        """The whole name, with fields."""
        if self.wanted is None or self.wanted == STDOUT:
            return self.default
        is_folder = self.wanted.endswith(("/", os.sep)) or Path(self.wanted).is_dir()
        folder = self.wanted if self.wanted.endswith(("/", os.sep)) else f"{self.wanted}/"
        return folder + self.default if is_folder else self.wanted

    def path(self, parts: NameParts) -> Path:
        """The output of one item, which has all fields of these names.

        Raises:
            UsageError: a field's form does not fit its value.
        """
        template = self.template
        if self.numbered and parts.index is not None and "index" not in _fields(template):
            root, suffix = os.path.splitext(template)  # noqa: PTH122 (a template is no path yet)
            template = f"{root}_{{index}}{suffix}"
        try:
            return Path(template.format_map(parts.available()))
        except ValueError as error:
            raise UsageError(f"the template '{template}' is wrong: {error}") from error


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """Pieces of text, each with the field after it, its form and its conversion."""
    return list(string.Formatter().parse(template))


def _fields(template: str) -> list[str]:
    return [name for _, name, _, _ in _parsed(template) if name is not None]


def _check_template(template: str, known: tuple[str, ...]) -> None:
    try:
        fields = _fields(template)
    except ValueError as error:
        raise UsageError(
            f"the template '{template}' is wrong: {error}",
            hint="Write '{{' and '}}' for braces that are part of the name.",
        ) from error
    if any(not _SPECIFICATION.fullmatch(each or "") for _, _, each, _ in _parsed(template)):
        raise UsageError(
            f"the template '{template}' is wrong: a field is too wide, or of no such form",
            hint="Write {index} or, for three digits, {index:03d}.",
        )
    for name in fields:
        if name not in known:
            wrong = "means nothing to this command" if name in FIELDS else "is not known"
            raise UsageError(
                f"'{{{name}}}' in -o {wrong}",
                hint=f"Use {', '.join(f'{{{each}}}' for each in known)}; "
                "write '{{' and '}}' for braces that are part of the name.",
            )


def check_midi_name(name: str, *, hint: str = "End it in .mid.") -> None:
    """Refuses to write MIDI under the name of something else.

    Raises:
        UsageError: the name does not end as that of a MIDI file.
    """
    if not name.lower().endswith(MIDI_ENDINGS):
        raise UsageError(f"-o {name} does not name a MIDI file", hint=hint)


@dataclass(frozen=True, kw_only=True)
class ExistingOutputs:
    """What to do with an output that is there already."""

    force: bool
    skip: bool

    def __post_init__(self) -> None:
        if self.force and self.skip:
            raise UsageError(
                "--force and --skip-existing contradict each other", hint="Give one of them."
            )

    def is_there(self, path: Path) -> bool:
        """Whether `path` is there and is not to be overwritten."""
        return not self.force and os.path.lexists(path)

    def should_skip(self, path: Path) -> bool:
        """Whether `path` is there and is to be left alone.

        Raises:
            OutputExistsError: it is there, and neither leave was given.
        """
        if not self.is_there(path):
            return False
        if not self.skip:
            raise OutputExistsError(
                "exists already",
                path=path,
                hint="Use --force to overwrite it, --skip-existing to leave it, or -o to write "
                "elsewhere.",
            )
        return True


def refuse_collisions(
    outputs: Sequence[Sequence[Path]], *, inputs: Sequence[Path | None] = ()
) -> None:
    """Refuses a batch in which one item would undo another's work.

    Args:
        outputs: the files that each item writes.
        inputs: the file that each item reads, in the same order; None where there is none.

    Raises:
        UsageError: two would write the same file, or one would write what another reads.
    """
    writer: dict[str, int] = {}
    for index, paths in enumerate(outputs):
        for path in paths:
            first = writer.setdefault(_identity(path), index)
            if first != index or paths.count(path) > 1:
                named = [inputs[i] for i in (first, index) if i < len(inputs)]
                both = " and ".join(dict.fromkeys(str(name) for name in named if name is not None))
                raise UsageError(
                    f"two items of this batch would write {path}{both and f': {both}'}",
                    hint=_apart(named),
                )
    for index, source in enumerate(inputs):
        if source is not None and writer.get(_identity(source), index) != index:
            raise UsageError(
                f"{source} would be overwritten before it is read", hint="Write somewhere else."
            )


def _apart(sources: Sequence[Path | None]) -> str:
    """How two inputs that would write the same file get one each."""
    stems = [source.stem for source in sources if source is not None]
    if len(stems) == len(set(stems)):
        return "Use -o FOLDER/ or a template with {stem}."
    return (
        f"Both are called {stems[0]}: run them one at a time, each with a folder of its own "
        "after -o."
    )


class Reads(Protocol):
    """An item of a batch: what it reads, and what it writes."""

    @property
    def source(self) -> InputFile:
        """What it reads."""

    @property
    def outputs(self) -> list[Path]:
        """What it writes."""


_Item = TypeVar("_Item", bound=Reads)


def without_own_outputs(items: Sequence[_Item]) -> tuple[list[_Item], int]:
    """Without the items whose input a folder or a glob led to, and another of the batch writes.

    So a command over a folder can be run again: what it made there is not its input.

    Returns:
        the others, and how many inputs were left out.
    """
    writers: dict[str, set[Path | None]] = {}
    for item in items:
        for path in item.outputs:
            writers.setdefault(_identity(path), set()).add(item.source.path)
    kept, left_out = [], set()
    for item in items:
        source = item.source.path
        if source and item.source.is_found and writers.get(_identity(source), set()) - {source}:
            left_out.add(source)
        else:
            kept.append(item)
    return kept, len(left_out)


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def check_stdout(
    *, num_items: int, as_json: bool, streams: bool = False, also_writes: str | None = None
) -> None:
    """Refuses `-o -` where it cannot work.

    Args:
        num_items: how many files there would be.
        as_json: whether the JSON object needs standard output for itself.
        streams: whether it does because events do.
        also_writes: an option that makes a second file, when it is given.

    Raises:
        UsageError: several files, JSON too, or a terminal at the other end.
    """
    if num_items > 1:
        raise UsageError(
            "-o - can carry one file only", hint="Give one input and one variation, or -o FOLDER/."
        )
    if as_json:
        option = "--stream" if streams else "--json"
        raise UsageError(f"-o - and {option} both need standard output", hint="Write to a file.")
    if also_writes is not None:
        raise UsageError(f"-o - can carry one file only, not what {also_writes} makes too")
    if stream_is_terminal(sys.stdout):
        raise UsageError(
            "standard output is a terminal",
            hint="Send it to a file or a program ('-o - > out.mid'), or name a file.",
        )
