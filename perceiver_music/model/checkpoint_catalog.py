"""Which checkpoints are at hand: bundled ones, the user's own, and those of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from perceiver_music.bundled import bundled_checkpoints
from perceiver_music.errors import InvalidInputError, StorageError, UnavailableError
from perceiver_music.files import PathLike

DEFAULT_NAME: Final = "maestro"
LOCAL_FOLDER: Final = Path("checkpoints")

_DESCRIPTION_FILE = "checkpoint.json"
_CHECKPOINT_OF_RUN = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class CheckpointPlace:
    """A checkpoint by name: where it lies, and in whose keeping (`bundled`, `user`, `local`)."""

    name: str
    origin: str
    path: Path


def list_checkpoints() -> list[CheckpointPlace]:
    """All checkpoints that can be called by name; of one name, the first in the list counts."""
    places: dict[Path, CheckpointPlace] = {}
    for origin, folder in _shelves():
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            if (entry / _DESCRIPTION_FILE).is_file():
                place = CheckpointPlace(name=entry.name, origin=origin, path=entry)
                places.setdefault(entry.resolve(), place)
    return list(places.values())


def resolve_checkpoint(name_or_path: PathLike | None = None) -> Path:
    """The folder of a checkpoint.

    Args:
        name_or_path: a folder, a run folder, a name in the list, or None for the bundled default.

    Raises:
        StorageError: there is none of that name, and nothing at that path.
        InvalidInputError: what lies there is no checkpoint.
        UnavailableError: no name was given and none is bundled.
    """
    if name_or_path is None:
        return _default()
    for folder in (Path(name_or_path), Path(name_or_path) / _CHECKPOINT_OF_RUN):
        if (folder / _DESCRIPTION_FILE).is_file():
            return folder
    places = list_checkpoints()
    for place in places:
        if place.name == os.fspath(name_or_path):
            return place.path
    names = ", ".join(place.name for place in places) or "none"
    hint = f"Give the folder of one, or a name; at hand: {names}."
    if os.path.lexists(name_or_path):
        raise InvalidInputError("is not a checkpoint", path=name_or_path, hint=hint)
    raise StorageError("there is no such checkpoint", path=name_or_path, hint=hint)


def _default() -> Path:
    folder = bundled_checkpoints() / DEFAULT_NAME
    if (folder / _DESCRIPTION_FILE).is_file():
        return folder
    raise UnavailableError(
        "this installation has no bundled checkpoint",
        hint="Name another one, or train one with `perceiver-music train`.",
    )


def _shelves() -> list[tuple[str, Path]]:
    user = platformdirs.user_data_path("perceiver-music") / "checkpoints"
    shelves = [("local", LOCAL_FOLDER), ("user", user)]
    try:
        return [("bundled", bundled_checkpoints()), *shelves]
    except UnavailableError:
        return shelves
