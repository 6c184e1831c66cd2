"""A wrong word on the command line, told in our own two lines instead of the parser's.

The parser (Typer, which has pydantic check the values) says what it met as exceptions; each is
taken apart here into what was wrong and what to write instead.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from typer import TyperException

from perceiver_music.cli.settings import commands_beneath
from perceiver_music.errors import UsageError

_NOT_A: Final = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
}
"""What pydantic calls a value of the wrong kind, and the kind in our words."""
_NUMBER_OF_VALUES: Final = re.compile(r"requires (?:an argument|(\d+) arguments)")
_TRY: Final = "; try "
"""Between what is wrong and what is right in the messages of our own parsers of values."""


def usage_error(error: TyperException, *, program: Any, arguments: Sequence[str]) -> UsageError:
    """The failure that a wrong word is.

    Args:
        error: what the parser raised.
        program: the command that holds all others.
        arguments: the words of the command line.
    """
    context = getattr(error, "ctx", None)
    words, command = _command(context, program, arguments)
    name = " ".join(("perceiver-music", *words))
    see = f"See '{name} --help'."
    parameter = getattr(error, "param", None)
    option = getattr(error, "option_name", None)
    kind = type(error).__name__
    if kind == "MissingParameter" and parameter is not None:
        return UsageError(f"{_name(parameter)} is missing", hint=_example(command) or see)
    if parameter is not None:
        return _wrong_value(error, parameter, see)
    if kind == "NoSuchOption":
        known = [word for each in command.params for word in each.opts]
        hint = _file_like(str(option), arguments) or _close(option, known) or see
        return UsageError(f"'{name}' has no option {option}", hint=hint)
    if option is not None:
        return UsageError(_wrong_number_of_values(error, option), hint=see)
    return _wrong_command(error, name, command, words, arguments, see)


def _command(context: Any, program: Any, arguments: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """The command whose words were wrong, and its name."""
    known = dict(commands_beneath(program))
    words: tuple[str, ...] = ()
    if context is not None:
        while context.parent is not None:
            words = (str(context.info_name), *words)
            context = context.parent
    else:  # some of the parser's exceptions do not say
        for word in arguments:
            if (*words, word) in known:
                words = (*words, word)
    return words, known.get(words, program)


def _name(parameter: Any) -> str:
    """What the user calls a parameter: `--variations`, `MIDI`."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name)


def _wrong_value(error: TyperException, parameter: Any, see: str) -> UsageError:
    name = _name(parameter)
    report = getattr(error.__cause__, "errors", None)
    found: dict[str, Any] = report()[0] if report is not None else {}
    kind, limits = found.get("type", ""), found.get("ctx", {})
    value = f"{name} {found.get('input', '')}"
    if kind in _NOT_A:
        usual = parameter.default if isinstance(parameter.default, int | float) else None
        hint = see if usual is None else f"Give one, as in {name} {usual}."
        return UsageError(f"{value} is not {_NOT_A[kind]}", hint=hint)
    if kind == "greater_than_equal":
        least = limits["ge"]
        return UsageError(f"{value} is less than {least}", hint=f"Use {least} or more.")
    if kind == "less_than_equal":
        most = limits["le"]
        return UsageError(f"{value} is more than {most}", hint=f"Use {most} or less.")
    own = str(limits.get("error", "")) or error.message.removesuffix(".")
    message, _, advice = own.partition(_TRY)
    return UsageError(f"{name}: {message}", hint=f"Try {advice}." if advice else see)


def _wrong_number_of_values(error: TyperException, option: str) -> str:
    found = _NUMBER_OF_VALUES.search(error.message)
    if found is None:
        return f"{option} takes no value"
    return f"{option} needs {found[1]} values" if found[1] else f"{option} needs a value"


def _wrong_command(
    error: TyperException,
    name: str,
    command: Any,
    words: Sequence[str],
    arguments: Sequence[str],
    see: str,
) -> UsageError:
    """A command that is missing or unknown, or a word too many."""
    children = list(getattr(command, "commands", {}))
    if not children:
        extra = re.search(r"extra argument\(s\) \((.*)\)", error.message, re.DOTALL)
        message = f"'{name}' takes no '{extra[1]}'" if extra else error.message.removesuffix(".")
        return UsageError(message, hint=see)
    unknown = re.match(r"No such command '(.*?)'\.", error.message, re.DOTALL)
    if unknown is None:
        return UsageError(f"'{name}' needs a command", hint=f"Give one: {', '.join(children)}.")
    return UsageError(
        f"there is no command '{' '.join((*words, unknown[1]))}'",
        hint=_close(unknown[1], children) or f"There are: {', '.join(children)}.",
    )


def _file_like(option: str, arguments: Sequence[str]) -> str | None:
    """How the file is named that was taken for an option, if there is one of that name."""
    named = (word for word in arguments if word.startswith(option) and os.path.lexists(word))
    return next((f"For the file of that name write ./{word}" for word in named), None)


def _close(word: object, known: Iterable[str]) -> str | None:
    """The known word that was perhaps meant, as a question."""
    close = difflib.get_close_matches(str(word), sorted(set(known)), n=1, cutoff=0.7)
    return f"Did you mean {close[0]}?" if close else None


def _example(command: Any) -> str | None:
    """How the command is called, from the examples beneath its help."""
    lines = [line.strip() for line in (command.epilog or "").splitlines()]
    return next((f"For example: {line}" for line in lines if line.startswith("perceiver-")), None)
