"""Writes `docs/cli.md` from the commands themselves: `python -m perceiver_music.cli.reference`.

With a path, the file is written; without one, the text goes to standard output. A test compares
the file with what this makes, so it cannot grow stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from perceiver_music import errors
from perceiver_music.cli import settings
from perceiver_music.cli.app import app
from perceiver_music.cli.console import Console
from perceiver_music.cli.failures import READER_GONE_EXIT_CODE
from perceiver_music.cli.invocation import PROGRAM
from perceiver_music.files import write_bytes_atomically

_WIDTH = 88
_TITLE = """# The command line

Made by `python -m perceiver_music.cli.reference docs/cli.md`; change the commands, not this file.

Results go to standard output, everything else to standard error. `--json` prints one object a
result, with `schema`, `version` and `elapsed_seconds`; a failure is an object with `error`.
Of pieces that are made together, as with `-n 4`, each has an even share of that time, and its
`events_per_second` are its events in that share: the mean of them is the rate of all.
"""


def reference() -> str:
    """The whole of `docs/cli.md`."""
    tree: Any = typer.main.get_command(app)
    parts = [_TITLE, _settings_section(), _exit_codes_section()]
    parts += [_command_section(tree, words) for words in _commands(tree)]
    return "\n".join(parts)


def _commands(tree: Any) -> Iterator[tuple[str, ...]]:
    yield from (words for words, _ in settings.commands_beneath(tree))


def _command_section(tree: Any, words: tuple[str, ...]) -> str:
    context = tree.make_context(PROGRAM, [], resilient_parsing=True, terminal_width=_WIDTH)
    command = tree
    for word in words:
        command = command.commands[word]
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    title = " ".join((PROGRAM, *words))
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"## `{title}`\n\n```text\n{help_text}\n```\n"


def _settings_section() -> str:
    *_, table = (settings.__doc__ or "").partition("\n\n")
    return f"## Settings\n\n{table.strip()}\n"


def _exit_codes_section() -> str:
    lines = ["## Exit codes", "", "| Code | Means |", "|---|---|", "| 0 | Done. |"]
    kinds: list[type[errors.PerceiverMusicError]] = [errors.PerceiverMusicError, *_failures()]
    for kind in sorted(kinds, key=lambda kind: kind.exit_code):
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        if kind is errors.PerceiverMusicError:
            meaning = "A bug of ours; `--debug` shows its traceback."
        lines.append(f"| {kind.exit_code} | {meaning} |")
    lines.append(
        f"| {READER_GONE_EXIT_CODE} | The reader of our pipe went away before all was written. |"
    )
    return "\n".join(lines) + "\n"


def _failures() -> list[type[errors.PerceiverMusicError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.PerceiverMusicError)
        and kind is not errors.PerceiverMusicError
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_bytes_atomically(Path(sys.argv[1]), reference().encode(), overwrite=True)
    else:
        Console().binary(reference().encode())
