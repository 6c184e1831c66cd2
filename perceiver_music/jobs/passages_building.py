"""Building the index of a training set into the checkpoint that was trained on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceiver_music.files import probe_output, sha256_of_file, write_bytes_atomically
from perceiver_music.jobs.passages import INDEX_FILE, index_of
from perceiver_music.jobs.progress import (
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.locks import exclusive_lock
from perceiver_music.sealed_json import sealed

if TYPE_CHECKING:
    from perceiver_music.evaluation.passage_index_file import TrainingPassages
    from perceiver_music.model.checkpoint_description import CheckpointDescription


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """An index that was written.

    Attributes:
        output: where it lies.
        size: in bytes.
        pieces: how many it holds.
        notes: how many it holds.
        has_pedal: whether the pedal's range is in it.
        store_sha256: of the store that it was made from.
        checkpoint: the checkpoint that carries it.
    """

    output: str
    size: int
    pieces: int
    notes: int
    has_pedal: bool
    store_sha256: str
    checkpoint: str

    def as_json(self) -> dict[str, Any]:
        """The fields of `check --build-index --json`."""
        return dict(vars(self))


def build(
    data: Path,
    checkpoint: str | None,
    *,
    midi_folder: Path | None = None,
    overwrite: bool = False,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> BuildResult:
    """Index a store, and put the index into the checkpoint that was trained on it.

    Raises:
        InvalidInputError: the store or the checkpoint is not what it should be.
        OutputExistsError: the checkpoint has an index, and it is not to be overwritten.
        BusyError: another process is doing the same.
        StorageError: reading or writing failed.
    """
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description

    folder = resolve_checkpoint(checkpoint)
    with exclusive_lock(folder.absolute()):
        description = read_description(folder)
        probe_output(description.path / INDEX_FILE, overwrite=overwrite)
        passages = index_of(data, midi_folder=midi_folder, on_progress=on_progress, warn=warn)
        return _put_into(description, passages, overwrite=overwrite, warn=warn)


def _put_into(
    description: CheckpointDescription,
    passages: TrainingPassages,
    *,
    overwrite: bool,
    warn: WarningCallback,
) -> BuildResult:
    from perceiver_music.evaluation.passage_index_file import write_passages
    from perceiver_music.model.checkpoint_description import DESCRIPTION_FILE, FORMAT

    path = description.path / INDEX_FILE
    data_fields = description.fields.get("data")
    trained_on = data_fields if isinstance(data_fields, dict) else {}
    if trained_on.get("sha256") != passages.about["store_sha256"]:
        warn(f"{description.name} does not say that it was trained on this store")
    # Its notes are those of the data, so its licence is that of what was made of the data.
    about = {
        **passages.about,
        "source": str(trained_on.get("name", "")),
        "licence": description.fields["licence"],
    }
    others = {name: e for name, e in description.fields["files"].items() if name != INDEX_FILE}
    fields = {**description.fields, "format": FORMAT, "files": others}
    if others != description.fields["files"]:
        # A table that still tells the old index's checksum would condemn the whole checkpoint, if
        # this ended between the two.
        write_bytes_atomically(description.path / DESCRIPTION_FILE, sealed(fields), overwrite=True)
    write_passages(path, replace(passages, about=about), overwrite=overwrite)
    size = path.stat().st_size
    fields["files"] = {**others, INDEX_FILE: {"bytes": size, "sha256": sha256_of_file(path)}}
    write_bytes_atomically(description.path / DESCRIPTION_FILE, sealed(fields), overwrite=True)
    return BuildResult(
        output=str(path),
        size=size,
        pieces=len(passages.pieces),
        notes=len(passages.text),
        has_pedal="pedal_share" in passages.ranges,
        store_sha256=passages.about["store_sha256"],
        checkpoint=description.name,
    )
