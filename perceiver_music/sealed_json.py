"""JSON documents that carry their own checksum, so that a changed byte is told from a changed mind.

The checksum is of what the document says, not of how it is laid out. Who edits one by hand has to
seal it again, which is meant: a setting that was changed by a disk must not look like one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from perceiver_music.files import sha256_of_bytes

SEAL: Final = "sha256"


def sealed(fields: Mapping[str, Any]) -> bytes:
    """The document, its checksum last, as it is written to a file."""
    document = json.loads(json.dumps(fields))  # as it will be read: lists, and text for keys
    document[SEAL] = _checksum(document)
    return json.dumps(document, indent=2).encode("ascii") + b"\n"


def unsealed(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a document whose checksum is right.

    Raises:
        ValueError: it is not right, or there is none.
    """
    fields = {name: value for name, value in document.items() if name != SEAL}
    if document.get(SEAL) != _checksum(fields):
        raise ValueError("its checksum does not match")
    return fields


def _checksum(fields: Mapping[str, Any]) -> str:
    return sha256_of_bytes(json.dumps(fields, sort_keys=True).encode())
