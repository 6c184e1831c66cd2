"""Where the value of an option comes from when it is not on the command line.

flag > environment > project file > user file > default. Every option of every command is a
setting under its own name, except those that decide what is written over:

    PERCEIVER_MUSIC_TEMPERATURE=0.9          every command that has --temperature
    PERCEIVER_MUSIC_COMPOSE_TEMPERATURE=1.1  compose alone

    temperature = 0.9                        # perceiver-music.toml in the working folder,
    [compose]                                # or [tool.perceiver-music] in its pyproject.toml,
    temperature = 1.1                        # or config.toml in the user's configuration folder
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceiver_music.errors import InvalidInputError, PerceiverMusicError, UsageError
from perceiver_music.files import read_bytes

ENVIRONMENT_PREFIX = "PERCEIVER_MUSIC_"
PROJECT_FILE = "perceiver-music.toml"
PYPROJECT_FILE = "pyproject.toml"
LARGEST_SETTINGS_FILE_BYTES = 1_000_000

# Read by the rooms beneath, not options: a download is forbidden.
OTHER_ENVIRONMENT = frozenset({"PERCEIVER_MUSIC_OFFLINE"})
NOT_SETTINGS = frozenset(
    {"help", "version", "install_completion", "show_completion", "output", "force"}
)
"""Options that are given on the command line alone."""


@dataclass(frozen=True, kw_only=True)
class SettingsFile:
    """One settings file: parameter name -> value, nested by command."""

    path: Path
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings files that were found, the strongest first."""

    files: tuple[SettingsFile, ...] = ()

    @property
    def default_map(self) -> dict[str, Any]:
        """All of them in one, as click wants it."""
        merged: dict[str, Any] = {}
        for file in self.files:
            _merge_weaker(merged, file.values)
        return merged


def option_name(parameter: Any) -> str:
    """The name of an option in files and environment: `--top-p` is `top_p`."""
    longest: str = max(parameter.opts, key=len)
    return longest.lstrip("-").replace("-", "_")


def options_of(command: Any) -> dict[str, Any]:
    """The options of one command that are settings, by name."""
    return {name: p for name, p in _all_options_of(command).items() if name not in NOT_SETTINGS}


def _all_options_of(command: Any) -> dict[str, Any]:
    return {option_name(p): p for p in command.params if p.param_type_name == "option"}


def commands_beneath(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, Any]]:
    """Every command with its words: `("models", "info")`; the program itself first."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands_beneath(child, (*path, name))


def bind_environment(program: Any) -> None:
    """Gives every option its two environment variables, the command's own first."""
    for path, command in commands_beneath(program):
        for name, option in options_of(command).items():
            option.envvar = _variables(path, name)
            option.show_envvar = False


def _variables(path: tuple[str, ...], name: str) -> list[str]:
    own = "_".join((*path, name)).replace("-", "_").upper()
    general = f"{ENVIRONMENT_PREFIX}{name.upper()}"
    return list(dict.fromkeys([f"{ENVIRONMENT_PREFIX}{own}", general]))


def check_environment(program: Any, environment: Mapping[str, str]) -> None:
    """Refuses variables of ours that nothing reads.

    Raises:
        UsageError: naming the variable, and the one that was perhaps meant.
    """
    options = {
        variable: name
        for path, command in commands_beneath(program)
        for name in _all_options_of(command)
        for variable in _variables(path, name)
    }
    known = OTHER_ENVIRONMENT | {each for each in options if options[each] not in NOT_SETTINGS}
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known:
            raise UsageError(
                f"the environment variable {variable} is not a setting",
                hint=_for_the_command_line("Unset it", options[variable])
                if variable in options
                else _suggestion(variable, known, "Unset it, or name an option of a command."),
            )


def load_settings(program: Any, *, folder: Path, user_file: Path) -> Settings:
    """Reads the project's and the user's file.

    Raises:
        InvalidInputError: not TOML, or a key that no command knows.
        StorageError: it cannot be read.
    """
    found = (_project_settings(folder), (user_file, _toml(user_file)))
    return Settings(
        files=tuple(
            SettingsFile(path=path, values=_default_map(program, table, path=path, where=()))
            for path, table in found
            if table is not None
        )
    )


def user_settings_file() -> Path:
    """`config.toml` in the user's configuration folder."""
    import platformdirs

    return platformdirs.user_config_path("perceiver-music", appauthor=False) / "config.toml"


def _project_settings(folder: Path) -> tuple[Path, dict[str, Any] | None]:
    own = folder / PROJECT_FILE
    table = _toml(own)
    if table is not None:
        return own, table
    pyproject = folder / PYPROJECT_FILE
    # Somebody else's file: looked into only if it speaks of us.
    if not pyproject.is_file() or b"perceiver-music" not in pyproject.read_bytes():
        return pyproject, None
    tools = (_toml(pyproject) or {}).get("tool", {})
    return pyproject, tools.get("perceiver-music") if isinstance(tools, dict) else None


def _toml(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return tomllib.loads(read_bytes(path, limit=LARGEST_SETTINGS_FILE_BYTES).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"not a TOML file: {error}", path=path, hint="Correct it, or move it away."
        ) from error


def _default_map(
    command: Any, table: Mapping[str, Any], *, path: Path, where: tuple[str, ...]
) -> dict[str, Any]:
    """One table of the file for `command` and everything beneath it."""
    children = getattr(command, "commands", {})
    here = list(commands_beneath(command))
    options = {name for _, child in here for name in _all_options_of(child)}
    known = options - NOT_SETTINGS | set(children)
    result: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if key in children and isinstance(value, Mapping):
            nested = _default_map(children[key], value, path=path, where=(*where, key))
            _merge_stronger(result.setdefault(key, {}), nested)
        elif name in known and name not in children:
            text = _as_option_text(value, key=".".join((*where, key)), path=path)
            for words, child in here:
                option = options_of(child).get(name)
                if option is not None:
                    _place(result, words, option.name, text)
        else:
            raise InvalidInputError(
                f"'{'.'.join((*where, key))}' is not a setting",
                path=path,
                hint=_for_the_command_line("Remove it", name)
                if name in options
                else _suggestion(key, known, "Remove it; settings are named like the options."),
            )
    return result


def _place(result: dict[str, Any], words: tuple[str, ...], name: str, value: object) -> None:
    """Sets a value unless a table of the command itself has set it."""
    for word in words:
        result = result.setdefault(word, {})
    result.setdefault(name, value)


def _as_option_text(value: object, *, key: str, path: Path) -> object:
    """A TOML value as the command line would give it: words, which the option then checks."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise InvalidInputError(
        f"'{key}' must be a text, a number, true, false or a list of texts", path=path
    )


def _merge_weaker(strong: dict[str, Any], weak: Mapping[str, Any]) -> None:
    for key, value in weak.items():
        if isinstance(value, Mapping):
            _merge_weaker(strong.setdefault(key, {}), value)
        else:
            strong.setdefault(key, value)


def _merge_stronger(weak: dict[str, Any], strong: Mapping[str, Any]) -> None:
    for key, value in strong.items():
        if isinstance(value, Mapping):
            _merge_stronger(weak.setdefault(key, {}), value)
        else:
            weak[key] = value


def _for_the_command_line(what_to_do: str, name: str) -> str:
    return f"{what_to_do}: --{name.replace('_', '-')} is for the command line alone."


def _suggestion(word: str, known: Set[str], otherwise: str) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else otherwise


def blame(
    failure: UsageError, *, context: Any, parameter: Any, settings: Settings
) -> PerceiverMusicError:
    """The failure of an option's value, told of the place that the value came from."""
    source = context.get_parameter_source(parameter.name)
    kind = "" if source is None else source.name
    if kind == "ENVIRONMENT":
        variable = next(name for name in parameter.envvar if os.environ.get(name))
        return UsageError(
            failure.message, hint=f"It comes from the environment variable {variable}."
        )
    if kind == "DEFAULT_MAP":
        words = _words(context)
        for file in settings.files:
            if parameter.name in _table(file.values, words):
                return InvalidInputError(
                    failure.message, path=file.path, hint="Correct this setting in the file."
                )
    return failure


def _words(context: Any) -> list[str]:
    words: list[str] = []
    while context.parent is not None:
        words.insert(0, context.info_name)
        context = context.parent
    return words


def _table(values: Mapping[str, Any], words: list[str]) -> Mapping[str, Any]:
    for word in words:
        values = values.get(word, {})
    return values
