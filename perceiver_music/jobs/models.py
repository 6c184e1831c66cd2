"""`models`: which checkpoints are at hand, what one says of itself, and whether it is whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perceiver_music.model.checkpoint_description import CheckpointDescription


@dataclass(frozen=True, kw_only=True)
class CheckpointRow:
    """A checkpoint in the list; `problem` says why it cannot be used, if it cannot."""

    name: str
    origin: str
    path: str
    is_default: bool
    parameters: int | None = None
    context: int | None = None
    validation_nats_per_event: float | None = None
    sha256: str | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class ModelsListResult:
    """All checkpoints that can be called by name."""

    models: tuple[CheckpointRow, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields of `models list --json`."""
        return {"models": [row.as_json() for row in self.models]}


@dataclass(frozen=True, kw_only=True)
class ModelInfoResult:
    """One checkpoint: its own description, and whether its files were verified."""

    description: CheckpointDescription
    is_verified: bool

    def as_json(self) -> dict[str, Any]:
        """The fields of `models info --json` and `models verify --json`."""
        return {
            "checkpoint": self.description.name,
            "checkpoint_sha256": self.description.sha256,
            "path": os.fspath(self.description.path),
            "verified": self.is_verified,
            "description": dict(self.description.fields),
        }


def list_models() -> ModelsListResult:
    """Every checkpoint at hand, damaged ones with what is wrong with them."""
    from perceiver_music.errors import PerceiverMusicError
    from perceiver_music.model.checkpoint_catalog import DEFAULT_NAME, list_checkpoints
    from perceiver_music.model.checkpoint_description import read_description

    rows = []
    for place in list_checkpoints():
        row = CheckpointRow(
            name=place.name,
            origin=place.origin,
            path=os.fspath(place.path),
            is_default=place.origin == "bundled" and place.name == DEFAULT_NAME,
        )
        try:
            description = read_description(place.path)
        except PerceiverMusicError as error:
            rows.append(replace(row, problem=error.message))
            continue
        fields = description.fields
        rows.append(
            replace(
                row,
                parameters=fields.get("parameters"),
                context=fields["config"].get("context"),
                validation_nats_per_event=description.metrics.get("validation_nats_per_event"),
                sha256=description.sha256,
            )
        )
    return ModelsListResult(models=tuple(rows))


def info(name_or_path: str | None = None) -> ModelInfoResult:
    """What a checkpoint says of itself; None is the bundled one.

    Raises:
        StorageError: there is no such checkpoint.
        InvalidInputError: it is none, or damaged.
        UnavailableError: none was named and none is bundled.
    """
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description

    description = read_description(resolve_checkpoint(name_or_path))
    return ModelInfoResult(description=description, is_verified=False)


def verify(name_or_path: str | None = None) -> ModelInfoResult:
    """Check every file of a checkpoint against its checksum, and load it.

    Raises:
        StorageError: there is no such checkpoint.
        InvalidInputError: it is none, or damaged.
        UnavailableError: none was named and none is bundled.
    """
    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

    loaded = load_checkpoint(resolve_checkpoint(name_or_path))
    return ModelInfoResult(description=loaded.description, is_verified=True)
