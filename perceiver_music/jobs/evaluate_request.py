"""What `evaluate` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perceiver_music.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """What to score, and with how much context.

    Attributes:
        data: a token store, or None when `files` are given.
        files: MIDI files; bytes are of one that came by standard input, which is called `-`.
        checkpoint: folder or name; None for the bundled one.
        split: of the store.
        context: the most events a prediction sees; None for the checkpoint's own.
        latents: how many of them go through the stack; None for the checkpoint's own.
        stride: events newly scored per window; None for half the latents.
        max_pieces: only the first so many, in the store's order.
        per_event: keep the nats of every event.
        device: `auto`, `cpu`, `cuda`, `mps`.
    """

    data: Path | None = None
    files: tuple[Path | bytes, ...] = ()
    checkpoint: str | None = None
    split: str = "test"
    context: int | None = None
    latents: int | None = None
    stride: int | None = None
    max_pieces: int | None = None
    per_event: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if bool(self.files) == (self.data is not None):
            raise UsageError(
                "either a store or MIDI files can be evaluated",
                hint="Give --data STORE, or name MIDI files.",
            )
        if self.split not in ("train", "validation", "test"):
            raise UsageError(
                f"there is no split {self.split!r}", hint="Use train, validation or test."
            )
        for name in ("context", "latents", "stride", "max_pieces"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} is 1 or more")
