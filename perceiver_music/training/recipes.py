"""Recipes: complete runs as TOML files. Named ones come with the package."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import read_bytes
from perceiver_music.training.config import TrainingConfig

SET: Final = "--set"
_LARGEST_RECIPE_BYTES: Final = 1_000_000


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("perceiver_music") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> TrainingConfig:
    """A recipe by name or file, with `key=value` settings laid over it.

    Raises:
        UsageError: no such recipe, a setting that is not `section.key=value`, or a wrong one.
        StorageError: the file cannot be read.
        InvalidInputError: the file is not TOML, or has a key or value that we do not know.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = read_bytes(path, limit=_LARGEST_RECIPE_BYTES).decode()
        except UnicodeDecodeError:
            raise InvalidInputError(
                "is not a TOML file", path=path, hint="Give a recipe, as those in recipes/."
            ) from None
    elif name_or_path in recipe_names():
        source = resources.files("perceiver_music") / "recipes" / f"{name_or_path}.toml"
        text = source.read_text(encoding="utf-8")
    else:
        raise UsageError(
            f"there is no recipe {name_or_path!r}",
            hint=f"Named recipes: {', '.join(recipe_names())}; or give a .toml file.",
        )
    return configured(_parse_toml(text, name_or_path), settings, name_or_path)


def configured(values: dict[str, Any], settings: Sequence[str], where: str) -> TrainingConfig:
    """A configuration from plain values with `section.key=value` settings laid over them.

    Raises:
        UsageError: a setting is not of that form, or wrong.
        InvalidInputError: the values themselves are.
    """
    config = TrainingConfig.from_dict(values, where)
    if not settings:
        return config
    try:
        return TrainingConfig.from_dict(apply_settings(values, settings), SET)
    except InvalidInputError as error:  # the file is right, so the word on the command line is not
        raise UsageError(str(error), hint=error.hint) from None


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Plain values with `section.key=value` settings laid over them.

    Raises:
        UsageError: a setting is not of that form.
    """
    values = copy.deepcopy(values)
    for setting in settings:
        _lay_over(values, setting)
    return values


def _parse_toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"not a TOML file: {error}", path=name) from None


def _lay_over(values: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{setting!r} is not key=value", hint="For example run.seed=2.")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {"value": value}  # a bare word is a string
    if len(parsed) > 1:
        raise UsageError(
            f"{setting!r} goes on after its value with another line",
            hint="Set one key at a time, each with a --set of its own.",
        )
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"{section!r} in {setting!r} is not a section of a recipe")
    values[last] = parsed["value"]
