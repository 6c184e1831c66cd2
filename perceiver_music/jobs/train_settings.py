"""The settings of `train`, checked against their recipe before anything that takes time. No torch.

What only the network can refuse, such as a misspelt size of it, is found when that is built.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.training.config import TrainingConfig
from perceiver_music.training.recipes import apply_settings, configured, load_recipe
from perceiver_music.training.run_file import RUN_FILE, check_run_folder, newest_run, read_run_file

RUNS_FOLDER: Final = Path("runs")
DEFAULT_RECIPE: Final = "laptop"
DEFAULT_GPU_RECIPE: Final = "gpu"


def check_settings(request: TrainRequest) -> None:
    """Refuses settings that the recipe, or the run that goes on, does not have.

    Raises:
        UsageError: there is no such recipe, or a setting is wrong; the hint names a right one.
        StorageError, InvalidInputError: the recipe or the run cannot be read.
    """
    if not request.settings and request.recipe is None:
        return
    apply_settings({}, request.settings)  # refuses their form
    refusals = [base.refusal(request.all_settings) for base in _bases(request)]
    if all(refusals):
        raise next(filter(None, refusals))


def _bases(request: TrainRequest) -> list[_Base]:
    """What the settings may be laid over: which recipe is the default is known with the device."""
    if request.resume:
        run = request.output or newest_run(RUNS_FOLDER)
        check_run_folder(run, resume=True)
        where = os.fspath(run / RUN_FILE)
        return [_Base(where, configured(read_run_file(run).recipe, (), where))]
    defaults = (DEFAULT_RECIPE, DEFAULT_GPU_RECIPE)
    names = defaults if request.recipe is None else (request.recipe,)
    return [_Base(name, load_recipe(name)) for name in names]


@dataclass(frozen=True)
class _Base:
    """A recipe or a run's own."""

    name: str
    config: TrainingConfig

    def refusal(self, settings: Sequence[str]) -> UsageError | None:
        """Why the settings cannot be laid over it; None if they can."""
        values = dataclasses.asdict(self.config)
        try:
            configured(values, settings, self.name)
        except UsageError as error:
            return UsageError(error.message, hint=self._advice(values, settings) or error.hint)
        return None

    def _advice(self, values: dict[str, Any], settings: Sequence[str]) -> str | None:
        """The key that was perhaps meant, or a value that the wrong key takes."""
        names = self._wrong_key(values, settings).split(".")
        section: Any = values
        for name in names[:-1]:
            section = section.get(name) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            return None
        if names[-1] in section:
            return _example(self.name, ".".join(names), section[names[-1]])
        for name, inner in section.items():
            if isinstance(inner, dict) and names[-1] in inner:
                return f"Did you mean {'.'.join((*names[:-1], name, names[-1]))}?"
        return None

    def _wrong_key(self, values: dict[str, Any], settings: Sequence[str]) -> str:
        """That of the first setting with which it goes wrong."""
        for number, setting in enumerate(settings, start=1):
            try:
                configured(values, settings[:number], self.name)
            except (UsageError, InvalidInputError):
                return setting.partition("=")[0].strip()
        return ""


def _example(recipe: str, key: str, value: Any) -> str | None:
    if isinstance(value, dict):
        return f"Set what is in it: {', '.join(f'{key}.{name}' for name in value)}."
    if value is None:
        return None
    written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    setting = shlex.quote(f"{key}={written}")
    return f"Give a value like that of the recipe {recipe}: --set {setting}."
