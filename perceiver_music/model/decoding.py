"""Which decoder makes the events: the native library's or torch's, and what both promise.

torch is imported only where it computes: a native decoder of a checkpoint starts in a fraction of
the time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from perceiver_music.errors import UnavailableError, UsageError
from perceiver_music.files import PathLike
from perceiver_music.model.checkpoint_description import CheckpointDescription, verified_weights
from perceiver_music.model.native.decoder import NativeDecoder
from perceiver_music.model.native.library import is_stale, load_library
from perceiver_music.model.native.weights import NotNative, read_tensors
from perceiver_music.tokenizer.vocabulary import VOCABULARY_SIZE

DECODERS: Final = ("auto", "int8", "fp32", "torch")
POLICIES: Final = ("exact", "slide")
_COMPILING: Final = "python -m perceiver_music.model.native.compile"
_STALE: Final = "the native library was compiled from other sources than are here now"
_STALE_DOUBT: Final = f"{_STALE}; torch decodes, which takes longer, until `{_COMPILING}` is run"
_GPU_FILES: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")


class Decode(Protocol):
    """A decode in progress; all but the prediction is its decoder's business."""

    logits: Any
    """Float32 `[vocabulary]` for the token that follows: of numpy or of torch."""


@runtime_checkable
class Decoder(Protocol):
    """What makes predictions for `generation`, event by event.

    See `model.base.SequenceModel` for `context`, `latents`, `begin` and `advance`.
    """

    context: int
    latents: int
    policy: str

    def begin(
        self, tokens: Sequence[int], *, context: int | None = None, latents: int | None = None
    ) -> Any:
        """Start a decode."""

    def begin_many(
        self,
        primers: Sequence[Sequence[int]],
        *,
        context: int | None = None,
        latents: int | None = None,
    ) -> list[Any]:
        """Start a decode after each of several primers, which may be the same."""

    def branch(self, state: Any) -> Any:
        """A decode of its own that stands where this one does."""

    def advance(self, state: Any, token: int) -> None:
        """Append a token, and predict what follows."""

    def advance_many(self, states: Sequence[Any], tokens: Sequence[int]) -> None:
        """Append a token to each; none depends on the company it is in."""


@dataclass(frozen=True, kw_only=True)
class LoadedDecoder:
    """A decoder ready to use, and where it came from.

    Attributes:
        model: the decoder.
        description: of its checkpoint.
        device: where it computes: `cpu`, `cuda`, `mps`.
        engine: what computes: `native int8`, `native fp32` or `torch`.
        kernel: which code for this processor runs; what decides the last digits.
        threads: how many compute one event; several events at a time may have more.
        doubt: what the user should know of it; None if nothing.
    """

    model: Decoder
    description: CheckpointDescription
    device: str
    engine: str
    kernel: str
    threads: int
    doubt: str | None = None

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

    @property
    def full_name(self) -> str:
        """What computes, with which code for this processor, and how if not exactly."""
        how = "" if self.model.policy == "exact" else f", policy {self.model.policy}"
        return f"{self.engine}, {self.kernel}{how}"

    @property
    def computed_with(self) -> dict[str, Any]:
        """All that decides the last digits, as stored in what is made with them."""
        torch = sys.modules.get("torch") if self.engine == "torch" else None
        return {
            "device": self.device.partition(":")[0],
            "decoder": self.engine,
            "kernel": self.kernel,
            "threads": self.threads if torch is None else torch.get_num_threads(),
            "policy": self.model.policy,
            "torch": None if torch is None else str(torch.__version__),
        }


def load_decoder(
    path: PathLike, *, device: str = "auto", decoder: str = "auto", policy: str = "exact"
) -> LoadedDecoder:
    """A verified checkpoint, ready to decode.

    Args:
        path: the checkpoint's folder.
        device: `auto` takes the first of cuda, mps, cpu.
        decoder: `int8` or `fp32`: the precision; the native library computes on the processor
            where it can, torch in fp32 elsewhere. `torch`: never the native library. `auto`:
            int8 where that is possible.
        policy: `exact`, or `slide` where a window that is full forgets its oldest position for each
            new one: faster, and not quite what a whole forward pass says; see `model.base`.

    Raises:
        InvalidInputError: it is no checkpoint, or damaged.
        StorageError: it cannot be read.
        UsageError: no such device, decoder or policy, or one that another rules out.
        UnavailableError: int8 was asked for and is not possible here.
    """
    if decoder not in DECODERS:
        raise UsageError(f"there is no decoder {decoder!r}", hint=f"Use {', '.join(DECODERS)}.")
    if policy not in POLICIES:
        raise UsageError(f"there is no policy {policy!r}", hint=f"Use {', '.join(POLICIES)}.")
    if decoder == "int8" and device.partition(":")[0] not in ("auto", "cpu"):
        raise UsageError(
            f"int8 is computed by the processor, not on {device}", hint="Leave out --device."
        )
    reason = "torch was asked for"
    if decoder != "torch" and (_is_processor(device) or decoder == "int8"):
        try:
            return _native(path, "fp32" if decoder == "fp32" else "int8", policy)
        except NotNative as error:
            reason = str(error)
    if decoder == "int8":
        if load_library() is not None:
            _torch(path, "cpu", policy)  # what is wrong with the checkpoint itself is told as such
        raise UnavailableError(
            f"int8 is not possible here: {reason}",
            hint=f"Use --decoder auto; `{_COMPILING}` compiles the library where there is a C "
            "compiler.",
        )
    loaded = _torch(path, device, policy)
    return replace(loaded, doubt=_STALE_DOUBT) if reason == _STALE else loaded


def _is_processor(device: str) -> bool:
    """Whether the processor computes there; torch, which takes seconds, is asked only in doubt."""
    if device == "cpu" or (device == "auto" and _is_without_gpu()):
        return True
    from perceiver_music.model.device import choose_device

    return choose_device(device).type == "cpu"


def _is_without_gpu() -> bool:
    """Whether there is surely none here."""
    return sys.platform == "linux" and not any(Path(path).exists() for path in _GPU_FILES)


def _native(path: PathLike, precision: Any, policy: str) -> LoadedDecoder:
    if load_library() is None:
        raise NotNative(_STALE if is_stale() else "the native library is not there")
    description, weights = verified_weights(path)
    if description.fields["architecture"] != "perceiver_ar":
        raise NotNative("only a Perceiver AR has a native decoder")
    config = description.fields["config"]
    if config.get("vocabulary_size") != VOCABULARY_SIZE:
        raise NotNative("another vocabulary")
    model = NativeDecoder(config, read_tensors(weights), precision=precision, policy=policy)
    return LoadedDecoder(
        model=model,
        description=description,
        device="cpu",
        engine=f"native {precision}",
        kernel=model.kernels,
        threads=1,
    )


def _torch(path: PathLike, device: str, policy: str) -> LoadedDecoder:
    import torch

    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.device import choose_device
    from perceiver_music.model.packed_linear import pack_linears

    loaded = load_checkpoint(path, choose_device(device))
    loaded.model.policy = policy
    place = loaded.model.device
    if place.type == "cpu":
        # The products of one event are too small to share: threads that wait for one another gain
        # nothing on an idle machine and cost everything on a busy one (docs/lab-book.md).
        torch.set_num_threads(1)
        pack_linears(loaded.model)
    kernel = torch.backends.cpu.get_cpu_capability()
    if place.type == "cuda":
        kernel = torch.cuda.get_device_name(place)
    return LoadedDecoder(
        model=loaded.model,
        description=loaded.description,
        device=str(place),
        engine="torch",
        kernel=kernel,
        threads=torch.get_num_threads(),
    )
