"""The state of a run, saved so that going on from it is exact.

    steps/step-00000200/
        model.safetensors      weights, float32
        training.safetensors   optimizer state and averaged weights
        state.json             step, counts, environment, and the checksum of the other files

A step folder appears whole; it is read back and compared before an older one goes. Randomness needs
no saving: windows and dropout are pure functions of (seed, step, rank).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from perceiver_music.errors import InvalidInputError, PerceiverMusicError
from perceiver_music.files import read_bytes
from perceiver_music.folders import (
    FileTable,
    check_file_table,
    file_table,
    remove_folder,
    write_folder_atomically,
)
from perceiver_music.model.tensor_file import read_tensors, write_tensors
from perceiver_music.sealed_json import sealed, unsealed

STEPS_FOLDER: Final = "steps"
_MODEL_FILE = "model.safetensors"
_TRAINING_FILE = "training.safetensors"
_STATE_FILE = "state.json"
_FORMAT = "perceiver-music-run-state/2"
_UNSEALED_FORMAT = "perceiver-music-run-state/1"
_MAX_STATE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RunCounts:
    """Where a run stands, and what it must find again to go on exactly.

    Attributes:
        step: optimizer steps done.
        loss_tokens: targets that have counted in the loss.
        seconds: time spent training.
        num_threads: of the process; sums depend on it.
        precision: `fp32` or `bf16`.
        world_size: processes that trained together.
        data_sha256: the store's checksum.
        teachers_sha256: those of the checkpoints whose predictions are learned.
        unreported_nats: of each rank, the mean nats of the steps since the last report.
        is_step_open: whether the run was stopped before what was due after this step (a report,
            validation) was done.
    """

    step: int = 0
    loss_tokens: int = 0
    seconds: float = 0.0
    num_threads: int
    precision: str
    world_size: int
    data_sha256: str
    teachers_sha256: tuple[str, ...] = ()
    unreported_nats: tuple[tuple[float, ...], ...] = ()
    is_step_open: bool = False


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """What a step folder holds; `averaged` is empty when the run keeps no average."""

    counts: RunCounts
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    averaged: dict[str, Tensor]


def save_state(run_folder: Path, state: SavedState, *, keep: int) -> Path:
    """Write the state of a step, read it back, then remove what is older than the newest `keep`.

    Later steps go too: a run that stands at this one has passed over them as damaged.

    Raises:
        StorageError: it cannot be written, or comes back changed; the others are then untouched.
    """
    steps = run_folder / STEPS_FOLDER
    target = steps / _folder_name(state.counts.step)
    with write_folder_atomically(target, overwrite=True) as folder:
        write_tensors(folder / _MODEL_FILE, state.weights)
        training = {f"optimizer/{name}": tensor for name, tensor in state.optimizer.items()}
        training |= {f"averaged/{name}": tensor for name, tensor in state.averaged.items()}
        write_tensors(folder / _TRAINING_FILE, training)
        document = {"format": _FORMAT, **asdict(state.counts), "files": file_table(folder)}
        (folder / _STATE_FILE).write_bytes(sealed(document))
    check_file_table(target, document["files"])
    others = [folder for folder in step_folders(run_folder) if folder.name != target.name]
    older = [folder for folder in others if folder.name < target.name]
    for folder in [*older[max(keep, 1) - 1 :], *(set(others) - set(older))]:
        remove_folder(folder)
    return target


def _folder_name(step: int) -> str:
    return f"step-{step:08d}"


def step_folders(run_folder: Path) -> list[Path]:
    """Saved steps, newest first."""
    return sorted((run_folder / STEPS_FOLDER).glob("step-*"), reverse=True)


def load_newest(run_folder: Path, warn: Callable[[str], None]) -> SavedState:
    """The newest state that is whole; a damaged one is passed over with a warning.

    Raises:
        InvalidInputError: there is none to go on from.
    """
    for folder in step_folders(run_folder):
        try:
            return _load(folder)
        except PerceiverMusicError as error:
            warn(f"{error}; going back to the step before")
    raise InvalidInputError(
        "has no saved step to resume from",
        path=run_folder,
        hint="Name the folder of a run that saved one, or start anew without --resume.",
    )


def _load(folder: Path) -> SavedState:
    data = read_bytes(folder / _STATE_FILE, limit=_MAX_STATE_BYTES)
    try:
        counts, files = _parsed(data)
        name = _folder_name(counts.step)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInputError("its state.json is damaged", path=folder) from error
    if folder.name != name:
        raise InvalidInputError(f"holds step {counts.step}", path=folder)
    check_file_table(folder, files)
    training = read_tensors(folder / _TRAINING_FILE)
    return SavedState(
        counts=counts,
        weights=read_tensors(folder / _MODEL_FILE),
        optimizer=_under("optimizer/", training),
        averaged=_under("averaged/", training),
    )


def _parsed(data: bytes) -> tuple[RunCounts, FileTable]:
    """What `state.json` says. Fails in one of many ways for what says something else."""
    document: dict[str, Any] = json.loads(data)
    if document.get("format") != _UNSEALED_FORMAT:
        document = unsealed(document)
        if document["format"] != _FORMAT:
            raise ValueError("another format")
    del document["format"]
    files: FileTable = document.pop("files")
    if not all(isinstance(entry, dict) for entry in files.values()):
        raise TypeError("a table of files has a table for each")
    nats = document.pop("unreported_nats", ())
    teachers = tuple(document.pop("teachers_sha256", ()))
    counts = RunCounts(
        **document, teachers_sha256=teachers, unreported_nats=tuple(map(tuple, nats))
    )
    return counts, files


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
