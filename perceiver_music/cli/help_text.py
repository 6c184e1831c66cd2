"""How `--help` looks: plain text in named groups, as wide as the terminal.

Rich's panels would cost each `--help` a tenth of a second and do not fit narrow terminals.
"""

from __future__ import annotations

import re
import shutil
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDEST = 100
NARROWEST = 30
_OPTIONS = "Options"


def help_width() -> int:
    """Columns for help, after the terminal or COLUMNS."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns - 1, WIDEST))


def examples_text(examples: tuple[str, ...]) -> str:
    """Command lines as an epilog that is not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])


class GroupedCommand(TyperCommand):
    """A command whose options stand under the names of their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes arguments, then each panel; those of every command last."""
        _write_panels(self, ctx, formatter)


class GroupedCommands(TyperGroup):
    """A group of commands that does so too."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the commands, then the options."""
        # Typer would cut each line short.
        rows = [(name, _first_sentence(child)) for name, child in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows, col_max=max(12, formatter.width // 3))
        _write_panels(self, ctx, formatter)


def _first_sentence(command: Any) -> str:
    paragraph = (command.help or "").strip().partition("\n\n")[0]
    return " ".join(paragraph.split())


def _plain_default(text: str) -> str:
    """`[default: (the first); x>=1]`, as the parser has it, in words: `[default: the first]`."""
    text = re.sub(r"\[default: \((.*?)\)(?=[;\]])", r"[default: \1", text, flags=re.DOTALL)
    return re.sub(r"; (?:\d+<=)?x(?:<=|>=)\d+\]", "]", text)


def _write_panels(command: Any, ctx: Any, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], _OPTIONS: []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        is_option = parameter.param_type_name == "option"
        if not is_option:
            record = (record[0].split()[0], record[1])  # without its Python type
        record = (record[0], _plain_default(record[1]))
        own = getattr(parameter, "rich_help_panel", None)
        panels.setdefault(own or (_OPTIONS if is_option else "Arguments"), []).append(record)
    for name, records in panels.items():
        if records:
            with formatter.section(name):
                formatter.write_dl(records, col_max=max(12, formatter.width // 3))
