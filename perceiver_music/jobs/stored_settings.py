"""All that decides a generated file, as it is stored in that file and read back for a replay."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from perceiver_music.errors import InvalidInputError, PerceiverMusicError
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.jobs.duet_file import DUET_SCHEMA

SETTINGS_SCHEMA: Final = "perceiver-music-settings/2"

_MOST_THREADS: Final = 1024
_COMMANDS: Final = ("continue", "compose", "infill")
_REQUEST_FIELDS: Final = (
    "seed",
    "index",
    "from_seconds",
    "to_seconds",
    "last_seconds",
    "include_primer",
    "ending",
    "starts_at_once",
)
_LATER_FIELDS: Final = {"policy": "exact", "starts_at_once": False}
_LATER_SAMPLING: Final = dict.fromkeys(
    (
        "keep_key",
        "keep_touch",
        "keep_articulation",
        "keep_joint",
        "keep_moving",
        "keep_grid",
        "keep_levels",
        "let_go",
        "come_back",
    ),
    False,
)
"""What was added after the first files were made, and how those were made."""


@dataclass(frozen=True, kw_only=True)
class ComputeSettings:
    """What computed, as far as the last digits of a prediction depend on it.

    Attributes:
        version: of this program.
        decoder: `native int8`, `native fp32` or `torch`.
        torch: its version; None when it did not compute.
        device: its type.
        kernel: the code for the processor that ran, or the name of the GPU.
        threads: how many computed one event.
        context, latents: what each prediction saw.
        policy: `exact` or `slide` (`model.base`).
    """

    version: str
    decoder: str
    torch: str | None
    device: str
    kernel: str
    threads: int
    context: int
    latents: int
    policy: str = "exact"

    def __post_init__(self) -> None:
        numbers = (self.threads, self.context, self.latents)
        words = (
            self.version,
            self.decoder,
            self.torch or "",
            self.device,
            self.kernel,
            self.policy,
        )
        if not all(isinstance(n, int) and n >= 1 for n in numbers) or self.threads > _MOST_THREADS:
            raise ValueError("threads, context and latents are numbers from 1")
        if not all(isinstance(word, str) for word in words):
            raise ValueError("version, decoder, torch, device, kernel and policy are names")


@dataclass(frozen=True, kw_only=True)
class StoredSettings:
    """How a file was made.

    Attributes:
        command: `continue`, `compose` or `infill`.
        primer: its name, as the user wrote it; None without one.
        primer_sha256: of the primer's music (`embedded.without_embedded`).
        music_sha256: of the file's own.
        checkpoint, checkpoint_sha256: what made it.
        compute: where and how.
        request: the fields of the request that decide the music.
    """

    command: str
    primer: str | None
    primer_sha256: str | None
    music_sha256: str
    checkpoint: str
    checkpoint_sha256: str
    compute: ComputeSettings
    request: dict[str, Any] = field(default_factory=dict)

    def as_text(self) -> str:
        """JSON in ASCII; the same settings give the same text."""
        own = {
            name: getattr(self, name)
            for name in (each.name for each in fields(self))
            if name not in ("compute", "request")
        }
        parts = {"schema": SETTINGS_SCHEMA, **own, **asdict(self.compute), **self.request}
        return json.dumps(parts, sort_keys=True)

    @classmethod
    def from_text(cls, text: str, *, name: str) -> StoredSettings:
        """What a file says of how it was made.

        Raises:
            InvalidInputError: it says nothing that this version understands.
        """
        try:
            parts = json.loads(text)
            if parts["schema"] == DUET_SCHEMA:
                raise InvalidInputError(
                    "is a duet, whose other half a player played",
                    path=name,
                    hint="Only files of continue, compose and infill can be replayed.",
                )
            if parts["schema"] != SETTINGS_SCHEMA:
                raise InvalidInputError(
                    f"stores its settings as {parts['schema']}; this version replays "
                    f"{SETTINGS_SCHEMA}",
                    path=name,
                    hint="Use the version of perceiver-music that made it.",
                )
            known = {**_LATER_FIELDS, **parts}
            compute = {each.name: known[each.name] for each in fields(ComputeSettings)}
            own = {
                each.name: parts[each.name]
                for each in fields(cls)
                if each.name not in ("compute", "request")
            }
            request = {key: known[key] for key in (*_REQUEST_FIELDS, "length", "sampling")}
            request["between_seconds"] = parts["between_seconds"]
            stored = cls(**own, compute=ComputeSettings(**compute), request=request)
            if stored.command not in _COMMANDS or not isinstance(parts["index"], int):
                raise ValueError("no such command, or no such variation")
            stored.as_request(primer=None if stored.command == "compose" else b"")
        except InvalidInputError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError, PerceiverMusicError):
            raise InvalidInputError(
                "the settings stored in it are damaged", path=name, hint="Nothing can be replayed."
            ) from None
        return stored

    def as_request(self, *, primer: bytes | None) -> ContinueRequest:
        """The request that made the file, without an output."""
        between = self.request["between_seconds"]
        if between is not None:
            first, last = between
            between = (first, last)
        return ContinueRequest(
            primer=primer,
            primer_name=self.primer or "",
            length=LengthOption(**self.request["length"]),
            sampling=SamplingOptions(**{**_LATER_SAMPLING, **self.request["sampling"]}),
            between_seconds=between,
            **{key: self.request[key] for key in _REQUEST_FIELDS},
        )


def request_fields(request: ContinueRequest) -> dict[str, Any]:
    """What of a request decides the music, as JSON has it."""
    between = request.between_seconds
    return {
        **{key: getattr(request, key) for key in _REQUEST_FIELDS},
        "between_seconds": None if between is None else list(between),
        "length": {"amount": request.length.amount, "unit": request.length.unit},
        "sampling": request.sampling.as_json(),
    }
