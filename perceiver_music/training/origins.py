"""The checkpoints that a run is made of, and the licence that its weights have after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from perceiver_music.model.checkpoint_description import CheckpointDescription

NOT_STATED: Final = "not stated"
_BOTH: Final = " AND "
"""SPDX: the terms on either side hold."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A checkpoint whose weights a run started from, or whose predictions it learned."""

    name: str
    sha256: str
    licence: str

    @classmethod
    def of(cls, description: CheckpointDescription) -> Origin:
        """A checkpoint as an origin."""
        licence = str(description.fields["licence"]).strip() or NOT_STATED
        return cls(name=description.name, sha256=description.sha256, licence=licence)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Origin:
        """What `as_json` gave.

        Raises:
            TypeError, KeyError: it is something else.
        """
        values = {name: fields[name] for name in ("name", "sha256", "licence")}
        if not all(isinstance(value, str) for value in values.values()):
            raise TypeError("an origin is words")
        return cls(**values)

    def as_json(self) -> dict[str, str]:
        """As it stands in `run.json` and `checkpoint.json`."""
        return asdict(self)


def licence_after(own: str, origins: Iterable[Origin]) -> str:
    """The licence of weights: what the run states, and what holds for all that it is made of.

    As an SPDX expression; a licence that one origin does not state is not guessed from another's.
    """
    stated: dict[str, None] = {}
    for licence in (own, *(origin.licence for origin in origins)):
        stated |= dict.fromkeys(licence.split(_BOTH))
    stated.pop(NOT_STATED, None)
    return _BOTH.join(stated) or NOT_STATED
