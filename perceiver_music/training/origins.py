"""The checkpoints that a run is made of, and the licence that its weights have after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from perceiver_music.model.checkpoint_description import CheckpointDescription

NOT_STATED: Final = "not stated"
_BOTH: Final = " AND "
"""SPDX: the terms on either side hold."""
_EITHER: Final = " OR "
"""SPDX: who takes the work chooses one side."""


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

    As an SPDX expression. Only the run's own "not stated" gives way to what its origins state;
    after an origin that states nothing nobody knows what holds, so the result states nothing.
    """
    of_origins = [origin.licence for origin in origins]
    if NOT_STATED in of_origins:
        return NOT_STATED
    stated = dict.fromkeys((own.strip() or NOT_STATED, *of_origins))
    if len(stated) > 1:
        stated.pop(NOT_STATED, None)
    if len(stated) == 1:
        return next(iter(stated))
    return _BOTH.join(dict.fromkeys(term for licence in stated for term in _terms(licence)))


def _terms(licence: str) -> list[str]:
    """What holds together, each so that it can be joined by AND, which binds closer than OR."""
    if len(_split(licence, _EITHER)) > 1:
        return [f"({licence})"]
    return _split(licence, _BOTH)


def _split(licence: str, word: str) -> list[str]:
    """The parts between a word, where it stands outside parentheses."""
    parts: list[str] = []
    for part in licence.split(word):
        if parts and parts[-1].count("(") > parts[-1].count(")"):
            parts[-1] += word + part
        else:
            parts.append(part)
    return parts
