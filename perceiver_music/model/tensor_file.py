"""Tensors to a safetensors file, proven to be there, and back.

Files are read, not mapped: one that is cut short under a map kills the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from perceiver_music.errors import InvalidInputError, StorageError
from perceiver_music.files import read_bytes, reporting_storage_errors


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> None:
    """Write tensors, as `dtype` if one is given, and read them back.

    Raises:
        StorageError: they cannot be written, or come back as others.
    """
    on_cpu = {name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()}
    try:
        with reporting_storage_errors(path):
            safetensors.torch.save_file(on_cpu, path)
        found = read_tensors(path)
    except safetensors.SafetensorError as error:  # the library's name for the system's failures
        raise StorageError(
            f"the tensors cannot be written: {error}",
            path=path,
            hint="Check the space on this disk.",
        ) from error
    if found.keys() != on_cpu.keys() or not all(
        torch.equal(found[name], tensor) for name, tensor in on_cpu.items()
    ):
        raise StorageError(
            "what was written does not come back as it was", path=path, hint="Check the disk."
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        InvalidInputError: it is no safetensors file.
        StorageError: it cannot be read.
    """
    return tensors_of(read_bytes(path), path)


def tensors_of(data: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a file that has been read.

    Raises:
        InvalidInputError: it is no safetensors file.
    """
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError:
        raise InvalidInputError(
            "is not a whole safetensors file", path=path, hint="Fetch or make it again."
        ) from None
