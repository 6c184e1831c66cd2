"""`tokens`: the events of a MIDI file, as a model sees them, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.errors import InvalidInputError
from perceiver_music.files import read_bytes, write_bytes_atomically
from perceiver_music.jobs.progress import WarningCallback, no_warning
from perceiver_music.music.midi_file import lack_of_notes, parse_midi, read_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.tempo_map import MAX_MUSIC_US
from perceiver_music.tokenizer.registry import DEFAULT_TOKENIZER, TOKENIZERS, get_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MAX_JSON_BYTES: Final = 256 << 20


@dataclass(frozen=True, kw_only=True)
class TokensRequest:
    """Whose events to show; `midi` is a file or its bytes."""

    midi: Path | bytes
    input_name: str
    tokenizer: str = DEFAULT_TOKENIZER


@dataclass(frozen=True, kw_only=True)
class TokensResult:
    """The ids of a file."""

    input: str
    tokenizer: str
    ids: npt.NDArray[np.uint16]
    notes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The fields of `tokens --json`."""
        return {
            "input": self.input,
            "tokenizer": self.tokenizer,
            "ids": self.ids.tolist(),
            "events": len(self.ids),
            "notes": self.notes,
            "seconds": self.seconds,
        }

    def lines(self) -> Iterator[str]:
        """`time id NAME value`, one event each."""
        tokenizer = get_tokenizer(self.tokenizer)
        moments = tokenizer.seconds(self.ids).tolist()
        for moment, token in zip(moments, self.ids.tolist(), strict=True):
            name, value = tokenizer.describe(token)
            yield f"{moment:.2f} {token} {name} {value}"


@dataclass(frozen=True, kw_only=True)
class DecodeRequest:
    """Ids to turn into MIDI.

    Attributes:
        ids: a JSON file, or its bytes: a list of ids, or an object whose `ids` are one.
        input_name: what the input is called in messages.
        output: the MIDI file; None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        tokenizer: whose ids they are; None for the one that the object names, else the usual one.
    """

    ids: Path | bytes
    input_name: str
    output: Path | None = None
    overwrite: bool = False
    tokenizer: str | None = None


@dataclass(frozen=True, kw_only=True)
class DecodeResult:
    """The MIDI that ids describe."""

    input: str
    output: Path | None
    tokenizer: str
    events: int
    notes: int
    seconds: float
    midi: bytes = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The fields of `tokens --decode --json`."""
        return {
            "input": self.input,
            "output": None if self.output is None else os.fspath(self.output),
            "tokenizer": self.tokenizer,
            "events": self.events,
            "notes": self.notes,
            "seconds": self.seconds,
        }


def run(request: TokensRequest, warn: WarningCallback = no_warning) -> TokensResult:
    """Encode a file.

    Raises:
        UsageError: there is no such tokenizer.
        InvalidInputError: it is no MIDI file, or has no piano notes.
        StorageError: it cannot be read.
    """
    tokenizer = get_tokenizer(request.tokenizer)
    if isinstance(request.midi, bytes):
        midi = parse_midi(request.midi, name=request.input_name)
    else:
        midi = read_midi(request.midi)
    for warning in midi.warnings:
        warn(f"{request.input_name}: {warning}")
    if not midi.performance.num_notes:
        raise InvalidInputError(lack_of_notes(midi.warnings), path=request.input_name)
    return TokensResult(
        input=request.input_name,
        tokenizer=tokenizer.name,
        ids=tokenizer.encode(midi.performance),
        notes=midi.performance.num_notes,
        seconds=midi.performance.seconds,
    )


def decode(request: DecodeRequest) -> DecodeResult:
    """Turn ids into a MIDI file.

    Raises:
        UsageError: there is no such tokenizer.
        InvalidInputError: the input is not JSON with ids of it, or of a tokenizer that we know.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading or writing failed.
    """
    ids, named = _ids_of(request)
    if request.tokenizer is None and named is not None and named not in TOKENIZERS:
        raise InvalidInputError(
            f"holds ids of a tokenizer {named!r}, which this program has not",
            path=request.input_name,
            hint=f"Say whose they are with --tokenizer; there are: {', '.join(TOKENIZERS)}.",
        )
    tokenizer = get_tokenizer(request.tokenizer or named or DEFAULT_TOKENIZER)
    try:
        performance = tokenizer.decode(ids)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, path=request.input_name, hint=error.hint) from None
    if performance.end_us > MAX_MUSIC_US:
        raise InvalidInputError(
            "the ids are more than six hours of music, which no command reads",
            path=request.input_name,
            hint="Leave out some of them.",
        )
    data = performance_to_midi(performance)
    if request.output is not None:
        write_bytes_atomically(request.output, data, overwrite=request.overwrite)
    return DecodeResult(
        input=request.input_name,
        output=request.output,
        tokenizer=tokenizer.name,
        events=len(ids),
        notes=performance.num_notes,
        seconds=performance.seconds,
        midi=data,
    )


def _ids_of(request: DecodeRequest) -> tuple[list[Any], str | None]:
    """The ids, and whose they are said to be."""
    data = request.ids
    if isinstance(data, Path):
        data = read_bytes(data, limit=_MAX_JSON_BYTES)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    ids = document.get("ids") if isinstance(document, dict) else document
    if not isinstance(ids, list) or not ids:
        is_empty = isinstance(ids, list)
        raise InvalidInputError(
            "its list of ids is empty" if is_empty else "is not JSON with a list of ids",
            path=request.input_name,
            hint="`perceiver-music tokens FILE.mid --json` writes a file with ids.",
        )
    named = document.get("tokenizer") if isinstance(document, dict) else None
    return ids, named if isinstance(named, str) else None
