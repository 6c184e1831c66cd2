"""`run.json`: the complete recipe of a run, its data, and the version that began it."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music import __version__
from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError, UsageError
from perceiver_music.files import read_bytes, reporting_storage_errors, write_bytes_atomically
from perceiver_music.sealed_json import sealed, unsealed

if TYPE_CHECKING:
    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.training.config import TrainingConfig

RUN_FILE: Final = "run.json"
_FORMAT: Final = "perceiver-music-run/2"
_KEYS_BEFORE_SEALS: Final = {"version", "recipe", "data"}
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What a run folder says of itself; the recipe as plain values."""

    recipe: dict[str, Any]
    data_path: Path


def read_run_file(run_folder: Path) -> RunFile:
    """The description of the run in a folder.

    Raises:
        StorageError: it cannot be read.
        InvalidInputError: it is not one.
    """
    path = run_folder / RUN_FILE
    try:
        document = json.loads(read_bytes(path, limit=_MAX_BYTES))
        if set(document) != _KEYS_BEFORE_SEALS:
            document = unsealed(document)
        recipe, data_path = document["recipe"], document["data"]["path"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        recipe = data_path = None
    if not isinstance(recipe, dict) or not isinstance(data_path, str):
        raise InvalidInputError(
            "is not the description of a run, or is damaged",
            path=path,
            hint="Begin another run; --init takes the weights of this one's checkpoint.",
        )
    return RunFile(recipe=recipe, data_path=Path(data_path))


def write_run_file(run_folder: Path, config: TrainingConfig, store: TokenStore) -> None:
    """Describe a run in its folder, which is made.

    Raises:
        StorageError: it cannot be written.
    """
    with reporting_storage_errors(run_folder):
        run_folder.mkdir(parents=True, exist_ok=True)
        path = store.path.resolve()
    document = {
        "format": _FORMAT,
        "version": __version__,
        "recipe": dataclasses.asdict(config),
        "data": {"path": os.fspath(path), "sha256": store.sha256},
    }
    write_bytes_atomically(run_folder / RUN_FILE, sealed(document), overwrite=True)


def check_run_folder(folder: Path, *, resume: bool) -> None:
    """Refuse to begin a run over another, and to resume where there is none.

    Raises:
        OutputExistsError: a run was begun in the folder, or has left steps there.
        StorageError: there is no such folder to resume.
        InvalidInputError: it holds nothing to resume.
    """
    steps = (path.name.removeprefix("step-") for path in folder.glob("steps/step-*"))
    # A run that was killed before its description was written has step 0 alone: nothing to lose.
    has_run = (folder / RUN_FILE).exists() or any(step.strip("0") for step in steps)
    if has_run and not resume:
        raise OutputExistsError(
            "holds a run already", path=folder, hint="Go on with it (--resume), or name another."
        )
    if resume and not folder.exists():
        raise StorageError(
            "there is no such run", path=folder, hint="Name the folder that train wrote."
        )
    if resume and not has_run:
        raise InvalidInputError(
            "holds no run to resume", path=folder, hint="Name the folder that train wrote."
        )


def newest_run(folder: Path) -> Path:
    """The run folder in `folder` that was begun or resumed last.

    Raises:
        UsageError: there is none.
    """
    runs = [path.parent for path in folder.glob(f"*/{RUN_FILE}")]
    if not runs:
        raise UsageError(f"there is no run to resume under {folder}/", hint="Give --output RUN.")
    return max(runs, key=lambda run: (run / RUN_FILE).stat().st_mtime)


def fresh_run_folder(folder: Path, recipe: str) -> Path:
    """The first `<recipe>-<number>` in `folder` that is not there yet."""
    number = 1
    while (run := folder / f"{recipe}-{number}").exists():
        number += 1
    return run
