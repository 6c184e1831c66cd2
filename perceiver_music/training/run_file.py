"""`run.json`: the complete recipe of a run, its data, and the version that began it.

Paths in it are absolute, since a run may go on from another folder; they stay here, and no
checkpoint tells them.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music import __version__
from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError, UsageError
from perceiver_music.files import read_bytes, reporting_storage_errors, write_bytes_atomically
from perceiver_music.sealed_json import sealed, unsealed
from perceiver_music.training.origins import Origin

if TYPE_CHECKING:
    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.training.config import TrainingConfig

RUN_FILE: Final = "run.json"
_FORMAT: Final = "perceiver-music-run/2"
_KEYS_BEFORE_SEALS: Final = {"version", "recipe", "data"}
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What a run folder says of itself.

    Attributes:
        recipe: as plain values.
        data_path: of the store.
        started_from: the checkpoint whose weights were the first; None for random ones.
        teacher_folders: where the teachers lay, by the names that the recipe calls them.
    """

    recipe: dict[str, Any]
    data_path: Path
    started_from: Origin | None = None
    teacher_folders: Mapping[str, Path] = field(default_factory=dict)


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
        if not isinstance(document["recipe"], dict):
            raise TypeError("a recipe is a table")
        origin = document.get("started_from")
        return RunFile(
            recipe=document["recipe"],
            data_path=Path(document["data"]["path"]),
            started_from=None if origin is None else Origin.from_json(origin),
            teacher_folders={
                name: Path(folder) for name, folder in document.get("teachers", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInputError(
            "is not the description of a run, or is damaged",
            path=path,
            hint="Begin another run; --init takes the weights of this one's checkpoint.",
        ) from None


def write_run_file(
    run_folder: Path,
    config: TrainingConfig,
    store: TokenStore,
    *,
    started_from: Origin | None = None,
    teacher_folders: Mapping[str, Path],
) -> None:
    """Describe a run in its folder, which is made.

    Args:
        run_folder: the folder.
        config: the recipe.
        store: what it is trained on.
        started_from: the checkpoint whose weights were the first; None for random ones.
        teacher_folders: absolute, by the names that the recipe calls the teachers.

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
        "started_from": None if started_from is None else started_from.as_json(),
        "teachers": {name: os.fspath(folder) for name, folder in teacher_folders.items()},
    }
    write_bytes_atomically(run_folder / RUN_FILE, sealed(document), overwrite=True)


def check_run_folder(folder: Path, *, resume: bool) -> None:
    """Refuse to begin a run over another, and to resume where there is none.

    Raises:
        OutputExistsError: a run was begun in the folder, or has left steps there, or it is none.
        StorageError: there is no such folder to resume.
        InvalidInputError: it holds nothing to resume.
    """
    if not resume and folder.exists() and not folder.is_dir():
        raise OutputExistsError(
            "exists already, and is not a folder", path=folder, hint="Name another --output."
        )
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
