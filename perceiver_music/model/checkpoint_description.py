"""What `checkpoint.json` says; read and verified without torch, which takes seconds to import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import PathLike, read_bytes, sha256_of_bytes
from perceiver_music.folders import FileTable, check_file_table, read_recorded
from perceiver_music.sealed_json import unsealed
from perceiver_music.tokenizer.registry import tokenizer_of

FORMAT: Final = "perceiver-music-checkpoint/2"
UNSEALED_FORMAT: Final = "perceiver-music-checkpoint/1"
"""The same without a checksum of the description itself; still read."""
DESCRIPTION_FILE: Final = "checkpoint.json"
WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "MODEL_CARD.md"

_MAX_DESCRIPTION_BYTES = 1 << 20
_FETCH_AGAIN = "Use another checkpoint; `perceiver-music models list` shows those at hand."


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription:
    """What `checkpoint.json` says, and its own checksum."""

    name: str
    path: Path
    sha256: str
    fields: Mapping[str, Any]

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer whose ids the model speaks."""
        return str(self.fields["tokenizer"]["name"])

    @property
    def infill_seconds(self) -> tuple[float, float] | None:
        """Shortest and longest gap that it was trained to fill; None when it was not."""
        try:
            windows = self.fields["recipe"]["windows"]
            shortest, longest = windows.get("infill_seconds", (1.0, 30.0))
            return (float(shortest), float(longest)) if windows["infill_share"] > 0 else None
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured, such as `validation_nats_per_event`."""
        return self.fields["metrics"]


def read_description(path: PathLike) -> CheckpointDescription:
    """What a checkpoint says of itself, without its weights.

    Raises:
        InvalidInputError: it is no checkpoint, or one that this version cannot use.
        StorageError: it cannot be read.
    """
    folder = Path(path)
    data = read_bytes(folder / DESCRIPTION_FILE, limit=_MAX_DESCRIPTION_BYTES)
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise refused(folder, f"its {DESCRIPTION_FILE} is not JSON") from None
    if not isinstance(fields, dict) or fields.get("format") not in (FORMAT, UNSEALED_FORMAT):
        raise refused(folder, f"is not a checkpoint of the format {FORMAT}")
    if fields["format"] == FORMAT:
        try:
            fields = unsealed(fields)
        except ValueError:
            raise refused(folder, f"its {DESCRIPTION_FILE} is damaged or was edited") from None
    expected = {
        "name": str,
        "architecture": str,
        "config": dict,
        "tokenizer": dict,
        "metrics": dict,
        "licence": str,
        "files": dict,
    }
    for key, kind in expected.items():
        if not isinstance(fields.get(key), kind):
            raise refused(folder, f"its {DESCRIPTION_FILE} has no proper {key!r}")
    tokenizer = fields["tokenizer"]
    try:
        tokenizer_of(str(tokenizer.get("name")), str(tokenizer.get("fingerprint")))
    except InvalidInputError as error:
        raise refused(folder, f"was {error.message}") from None
    weights = fields["files"].get(WEIGHTS_FILE)
    if not isinstance(weights, dict) or "sha256" not in weights:
        raise refused(folder, f"does not say what its {WEIGHTS_FILE} should be")
    return CheckpointDescription(
        name=fields["name"], path=folder, sha256=identity_of(fields), fields=fields
    )


def verify_checkpoint(path: PathLike) -> CheckpointDescription:
    """Prove that every file of a checkpoint is the one that was written.

    Raises:
        InvalidInputError: it is no checkpoint, or a file is missing or damaged.
        StorageError: it cannot be read.
    """
    description = read_description(path)
    check_file_table(description.path, _files_of(description))
    return description


def verified_weights(path: PathLike) -> tuple[CheckpointDescription, bytes]:
    """`verify_checkpoint`, and its weights: the very bytes that were verified.

    Raises:
        InvalidInputError: it is no checkpoint, or a file is missing or damaged.
        StorageError: it cannot be read.
    """
    description = read_description(path)
    table = _files_of(description)
    others = {name: entry for name, entry in table.items() if name != WEIGHTS_FILE}
    check_file_table(description.path, others)
    return description, read_recorded(description.path, table, WEIGHTS_FILE)


def _files_of(description: CheckpointDescription) -> FileTable:
    table: FileTable = description.fields["files"]
    if not all(isinstance(entry, dict) for entry in table.values()):
        raise refused(description.path, "its table of files is damaged")
    return table


def identity_of(fields: Mapping[str, Any]) -> str:
    """The sha256 that names a checkpoint: of all that decides what it computes.

    Name, metrics and card are not in it, so that measuring a checkpoint does not make it another.
    """
    deciding = {key: fields[key] for key in ("architecture", "config", "tokenizer")}
    deciding["weights"] = fields["files"][WEIGHTS_FILE]["sha256"]
    return sha256_of_bytes(json.dumps(deciding, sort_keys=True).encode())


def refused(folder: Path, why: str) -> InvalidInputError:
    """Why a checkpoint cannot be used, with a way out."""
    return InvalidInputError(why, path=folder, hint=_FETCH_AGAIN)
