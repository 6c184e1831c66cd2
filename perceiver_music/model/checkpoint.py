"""A checkpoint: a folder with bf16 weights, one JSON file that tells all about them, and a card.

    model.safetensors   the weights, bfloat16
    checkpoint.json     format, architecture and its configuration, tokenizer, recipe, data,
                        metrics, licence, size and sha256 of every other file, and its own sha256
    MODEL_CARD.md       the same for people

Its sha256 is that of all that decides what it computes (`identity_of`). Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import PathLike
from perceiver_music.folders import file_table, write_folder_atomically
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.checkpoint_description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    FORMAT,
    WEIGHTS_FILE,
    CheckpointDescription,
    identity_of,
    refused,
    verified_weights,
)
from perceiver_music.model.registry import build_from_config, config_as_dict, name_of
from perceiver_music.model.tensor_file import tensors_of, write_tensors
from perceiver_music.sealed_json import sealed
from perceiver_music.tokenizer.registry import get_tokenizer

_NO_FIT = "its weights do not fit its configuration"


@dataclass(frozen=True, kw_only=True)
class LoadedCheckpoint:
    """A model ready to use, in evaluation mode, and where it came from."""

    model: SequenceModel
    description: CheckpointDescription

    @property
    def name(self) -> str:
        """The checkpoint's name."""
        return self.description.name

    @property
    def sha256(self) -> str:
        """The checkpoint's checksum."""
        return self.description.sha256

    @property
    def context(self) -> int:
        """The longest window of its training."""
        return self.model.context

    @property
    def latents(self) -> int:
        """Positions scored per window in its training."""
        return self.model.latents


def save_checkpoint(
    path: PathLike,
    model: SequenceModel,
    *,
    name: str,
    tokenizer_name: str,
    details: Mapping[str, Any],
    card: str,
    weights: Mapping[str, Tensor] | None = None,
    context: int | None = None,
    overwrite: bool,
) -> str:
    """Write a checkpoint folder.

    Args:
        path: the folder.
        model: gives configuration and, unless `weights` does, the weights.
        name: the checkpoint's name.
        tokenizer_name: whose ids the model speaks.
        details: `recipe`, `data`, `metrics`, `licence` and what else is to be known.
        card: text of the model card.
        weights: averaged weights to store in place of the model's own.
        context: what to store as its context, when training has not come to the model's own.
        overwrite: replace a checkpoint that is there.

    Returns:
        The checkpoint's sha256.

    Raises:
        OutputExistsError: it exists and is not to be overwritten.
        StorageError: it cannot be written.
    """
    fingerprint = get_tokenizer(tokenizer_name).fingerprint
    with write_folder_atomically(path, overwrite=overwrite) as folder:
        write_tensors(folder / WEIGHTS_FILE, weights or model.state_dict(), torch.bfloat16)
        (folder / CARD_FILE).write_text(card, encoding="utf-8", errors="backslashreplace")
        description = {
            "format": FORMAT,
            "name": name,
            "architecture": name_of(model),
            "config": {**config_as_dict(model), "context": context or model.context},
            "parameters": model.num_parameters,
            "tokenizer": {"name": tokenizer_name, "fingerprint": fingerprint},
            **details,
            "files": file_table(folder),
        }
        (folder / DESCRIPTION_FILE).write_bytes(sealed(description))
    return identity_of(description)


def load_checkpoint(
    path: PathLike, device: torch.device | str = "cpu", *, dtype: torch.dtype = torch.float32
) -> LoadedCheckpoint:
    """A verified checkpoint as a model in evaluation mode.

    Raises:
        InvalidInputError: it is no checkpoint, damaged, or does not fit its own configuration.
        StorageError: it cannot be read.
    """
    description, tensors = _verified_tensors(path)
    model = _network_for(description, tensors)
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise refused(description.path, _NO_FIT) from None
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise refused(description.path, "its weights are not all finite numbers")
    model.to(device=device, dtype=dtype).eval().requires_grad_(False)
    return LoadedCheckpoint(model=model, description=description)


def _verified_tensors(path: PathLike) -> tuple[CheckpointDescription, dict[str, Tensor]]:
    """Apart from `load_checkpoint`, so that the file's bytes are gone when the network comes."""
    description, data = verified_weights(path)
    try:
        return description, tensors_of(data, description.path / WEIGHTS_FILE)
    except InvalidInputError:
        raise refused(description.path, f"its {WEIGHTS_FILE} is not one") from None


def _network_for(
    description: CheckpointDescription, tensors: Mapping[str, Tensor]
) -> SequenceModel:
    """The network, built only when the weights are as many as its configuration asks for."""
    architecture, config = description.fields["architecture"], description.fields["config"]
    layers = config.get("num_layers")
    if isinstance(layers, int) and layers > len(tensors):
        raise refused(description.path, _NO_FIT)
    try:
        with torch.device("meta"):  # shapes without memory: a configuration may ask for any amount
            outline = build_from_config(architecture, config)
    except RuntimeError:  # more than can be counted
        raise refused(description.path, _NO_FIT) from None
    if outline.vocabulary_size != get_tokenizer(description.tokenizer_name).vocabulary_size:
        raise refused(description.path, "its model has another number of ids than its vocabulary")
    if outline.num_parameters > sum(tensor.numel() for tensor in tensors.values()):
        raise refused(description.path, _NO_FIT)
    return build_from_config(architecture, config)
