"""`replay`: the same file again from what is stored inside it.

The music is made anew and its checksum compared with the one that was stored with it. Only when
they agree is there a file; it then carries the stored settings word for word, so its bytes are
those of the original, whichever version or machine made them again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music.errors import (
    InvalidInputError,
    PerceiverMusicError,
    UnavailableError,
    UsageError,
)
from perceiver_music.files import probe_output, read_bytes, sha256_of_bytes, write_bytes_atomically
from perceiver_music.jobs.progress import (
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)
from perceiver_music.jobs.stored_settings import ComputeSettings, StoredSettings

if TYPE_CHECKING:
    from perceiver_music.jobs.continuation import Session
    from perceiver_music.music.embedded import Embedded

_CANNOT_BE_SET: Final = ("version", "decoder", "torch", "kernel")
"""What of the compute is as it is here, whatever it was there."""
_SHORT_HASH: Final = 12
_TORCH: Final = "torch"


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """Which file to make again.

    Attributes:
        midi: the file, or its bytes.
        input_name: what it is called in messages.
        output: None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        checkpoint: where the checkpoint is, when it is not at hand by its checksum.
        primer: where the primer is, when it does not travel in the file.
    """

    midi: Path | bytes
    input_name: str
    output: Path | None = None
    overwrite: bool = False
    checkpoint: str | None = None
    primer: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that was another thing when the file was made."""

    what: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.what} {self.then} then, {self.now} now"


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """A file made again.

    Attributes:
        same: whether its bytes are those of the input; when not, the input was changed since it
            was made, and `midi` is what it was.
        differences: of this machine from the one that made it, none of which mattered.
        midi: the whole file.
    """

    input: str
    output: Path | None
    same: bool
    command: str
    seed: int
    index: int
    checkpoint: str
    checkpoint_sha256: str
    differences: tuple[Difference, ...]
    midi: bytes = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The fields of `replay --json`."""
        return {
            "input": self.input,
            "output": None if self.output is None else os.fspath(self.output),
            "same": self.same,
            "made_by": self.command,
            "seed": self.seed,
            "index": self.index,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "differences": [asdict(difference) for difference in self.differences],
        }


def run(
    request: ReplayRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> ReplayResult:
    """Make a file again.

    Raises:
        InvalidInputError: the file stores nothing to replay, or the checkpoint or primer of that
            name is another one.
        UnavailableError: the checkpoint, the primer or the device is not here, or the music comes
            out different here; the message names what differs.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading or writing failed.
    """
    from perceiver_music.music.embedded import Embedded, with_embedded, without_embedded

    data = _bytes_of(request.midi)
    embedded = _embedded(data, request)
    stored = StoredSettings.from_text(embedded.settings, name=request.input_name)
    primer = _primer(embedded, stored, request)
    if request.output is not None:
        probe_output(request.output, overwrite=request.overwrite)
    session = _session(stored, request)
    with _threads(stored.compute):
        differences = _differences(stored.compute, session.compute)
        for difference in differences:
            warn(f"{request.input_name}: {difference}")
        made = session.run(stored.as_request(primer=primer), on_progress)
    music = without_embedded(made.midi)
    if sha256_of_bytes(music) != stored.music_sha256:
        reasons = "; ".join(map(str, differences)) or "nothing that is known of differs"
        raise UnavailableError(
            f"comes out different here: {reasons}",
            path=request.input_name,
            hint="Replay it where it was made.",
        )
    again = with_embedded(
        music,
        Embedded(settings=embedded.settings, deflated_primer=embedded.deflated_primer),
    )
    if request.output is not None:
        write_bytes_atomically(request.output, again, overwrite=request.overwrite)
    return ReplayResult(
        input=request.input_name,
        output=request.output,
        same=again == data,
        command=stored.command,
        seed=made.seed,
        index=made.index,
        checkpoint=stored.checkpoint,
        checkpoint_sha256=stored.checkpoint_sha256,
        differences=differences,
        midi=again,
    )


def _bytes_of(midi: Path | bytes) -> bytes:
    from perceiver_music.music.midi_chunks import MAX_FILE_BYTES

    return midi if isinstance(midi, bytes) else read_bytes(midi, limit=MAX_FILE_BYTES)


def _embedded(data: bytes, request: ReplayRequest) -> Embedded:
    from perceiver_music.music.embedded import find_embedded

    found = find_embedded(data, name=request.input_name)
    if found is None:
        raise InvalidInputError(
            "stores no settings to make it again from",
            path=request.input_name,
            hint="Only files of continue, compose and infill can be replayed.",
        )
    return found


def _primer(embedded: Embedded, stored: StoredSettings, request: ReplayRequest) -> bytes | None:
    """The primer: the one given, the one in the file, or the one where it was then."""
    from perceiver_music.music.embedded import without_embedded

    if stored.command == "compose":
        return None
    data = None if request.primer else embedded.primer(name=request.input_name)
    if data is None:
        path = request.primer or Path(stored.primer or "")
        if request.primer is None and not path.is_file():
            raise UnavailableError(
                f"needs its primer '{stored.primer}', which is not here",
                path=request.input_name,
                hint="Say where it is with --primer FILE.",
            )
        data = _bytes_of(path)
    data = without_embedded(data)
    if sha256_of_bytes(data) != stored.primer_sha256:
        raise InvalidInputError(
            f"was made from another primer: its sha256 is {_short(stored.primer_sha256)}",
            path=request.input_name,
            hint="Give that one with --primer FILE.",
        )
    return data


def _session(stored: StoredSettings, request: ReplayRequest) -> Session:
    from perceiver_music.jobs.continuation import open_session

    compute = stored.compute
    checkpoint = os.fspath(_checkpoint(stored, request))
    try:
        return open_session(
            checkpoint,
            device=compute.device,
            decoder=compute.decoder.removeprefix("native "),
            context=compute.context,
            latents=compute.latents,
            policy=compute.policy,
        )
    except UsageError as error:  # the words are the file's, not the user's
        raise InvalidInputError(
            f"stores settings that cannot be: {error.message}",
            path=request.input_name,
            hint="The file has been changed since it was made.",
        ) from None
    except UnavailableError as error:  # nor can the user choose another device for it
        raise UnavailableError(
            error.message, path=request.input_name, hint="Replay it where it was made."
        ) from None


def _checkpoint(stored: StoredSettings, request: ReplayRequest) -> Path:
    """The folder of the very checkpoint, by its checksum, whatever its name is here."""
    from perceiver_music.model.checkpoint_catalog import list_checkpoints, resolve_checkpoint
    from perceiver_music.model.checkpoint_description import read_description

    wanted = f"'{stored.checkpoint}' (sha256 {_short(stored.checkpoint_sha256)})"
    named = [] if request.checkpoint is None else [resolve_checkpoint(request.checkpoint)]
    places = named + [place.path for place in list_checkpoints()]
    others = []
    for place in places:
        try:
            description = read_description(place)
        except PerceiverMusicError:
            if place in named:
                raise
            continue
        if description.sha256 == stored.checkpoint_sha256:
            return place
        if place in named or description.name == stored.checkpoint:
            others.append(description)
    hint = "Say where that one is with --checkpoint NAME|PATH."
    if others:
        raise InvalidInputError(
            f"was made by the checkpoint {wanted}; '{others[0].name}' here is another "
            f"(sha256 {_short(others[0].sha256)})",
            path=request.input_name,
            hint=hint,
        )
    raise UnavailableError(
        f"needs the checkpoint {wanted}, which is not here", path=request.input_name, hint=hint
    )


def _short(sha256: str | None) -> str:
    return (sha256 or "")[:_SHORT_HASH]


def _differences(then: ComputeSettings, now: ComputeSettings) -> tuple[Difference, ...]:
    return tuple(
        Difference(what=name, then=str(getattr(then, name)), now=str(getattr(now, name)))
        for name in (*_CANNOT_BE_SET, "threads")
        if getattr(then, name) != getattr(now, name)
    )


@contextmanager
def _threads(compute: ComputeSettings) -> Iterator[None]:
    """As many threads of torch as there were, while it lasts, if it computes."""
    if compute.decoder != _TORCH:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(compute.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
