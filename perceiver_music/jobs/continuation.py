"""`continue` and `compose`: new music after a primer, or from nothing.

A session loads the checkpoint once; each item is then decoded alone, so that a variation depends
on nothing but its own seed, index, primer, options and checkpoint.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perceiver_music import __version__
from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import read_bytes, sha256_of_bytes, write_bytes_atomically
from perceiver_music.generation.options import LengthOption, SamplingOptions
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)

if TYPE_CHECKING:
    from perceiver_music.generation.continuation import Continuation, Limits
    from perceiver_music.generation.primer import Opening, Window
    from perceiver_music.model.checkpoint import LoadedCheckpoint
    from perceiver_music.music.midi_file import MidiFile
    from perceiver_music.music.performance import Performance

SETTINGS_SCHEMA: Final = "perceiver-music-settings/1"
_EVENTS_BETWEEN_REPORTS = 8
_MAX_SECONDS = 6 * 3600.0

EventCallback = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class ContinueRequest:
    """One piece of new music.

    Attributes:
        primer: a MIDI file, its bytes, or None to compose from nothing.
        primer_name: what the primer is called in messages and results.
        output: the MIDI file; None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        seed: with `index`, decides every draw.
        index: the number of this variation of this primer.
        length: of the new music.
        from_seconds: where the window of the primer begins.
        to_seconds: where it ends.
        last_seconds: its length, counted from its end.
        include_primer: whether the window comes before the new music in the output.
        ending: stop where the model ends the piece.
        sampling: how events are drawn.
    """

    primer: Path | bytes | None = None
    primer_name: str = ""
    output: Path | None = None
    overwrite: bool = False
    seed: int = 0
    index: int = 1
    length: LengthOption = field(default_factory=LengthOption)
    from_seconds: float | None = None
    to_seconds: float | None = None
    last_seconds: float | None = None
    include_primer: bool = True
    ending: bool = False
    sampling: SamplingOptions = field(default_factory=SamplingOptions)

    def __post_init__(self) -> None:
        for name in ("from_seconds", "to_seconds", "last_seconds"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= _MAX_SECONDS:
                flag = name.removesuffix("_seconds")
                raise UsageError(f"--{flag} {value:g} is not within six hours of music")
        if self.primer is None and self.length.unit == "bars":
            raise UsageError(
                "without a primer nobody can say how long a bar is", hint="Use seconds or notes."
            )
        if self.length.unit == "seconds" and self.length.amount > _MAX_SECONDS:
            raise UsageError("more than six hours of music", hint="Choose a shorter --length.")


@dataclass(frozen=True, kw_only=True)
class ContinueResult:
    """One piece of new music that was made.

    Attributes:
        primer: the primer's name; None when there is none.
        output: the file written; None when `midi` carries it.
        events: events drawn.
        notes: notes of the new music.
        seconds: its length.
        ended: `length` or `ending`.
        events_per_second: how fast it was decoded, reading the primer included.
        midi: the whole MIDI file.
    """

    primer: str | None
    output: Path | None
    index: int
    seed: int
    primer_events: int
    events: int
    notes: int
    seconds: float
    ended: str
    checkpoint: str
    checkpoint_sha256: str
    sampling: SamplingOptions
    context: int
    latents: int
    events_per_second: float
    midi: bytes = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The fields of `continue --json` and `compose --json`."""
        return {
            "primer": self.primer,
            "output": None if self.output is None else os.fspath(self.output),
            "index": self.index,
            "seed": self.seed,
            "primer_events": self.primer_events,
            "events": self.events,
            "notes": self.notes,
            "seconds": self.seconds,
            "ended": self.ended,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "sampling": self.sampling.as_json(),
            "context": self.context,
            "latents": self.latents,
            "events_per_second": round(self.events_per_second, 1),
        }


class Session:
    """A loaded checkpoint and the compute that every item gets."""

    def __init__(self, loaded: LoadedCheckpoint, *, context: int, latents: int) -> None:
        self._loaded = loaded
        self.context = context
        self.latents = latents

    @property
    def checkpoint(self) -> str:
        """The checkpoint's name."""
        return self._loaded.name

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._loaded.model.device)

    def run(
        self,
        request: ContinueRequest,
        on_progress: ProgressCallback = no_progress,
        warn: WarningCallback = no_warning,
        on_event: EventCallback | None = None,
    ) -> ContinueResult:
        """Make one piece.

        Args:
            request: which one.
            on_progress: told of events, notes or seconds, as the length is counted.
            warn: told what is odd about the primer.
            on_event: given the id of each event as soon as it is drawn.

        Raises:
            UsageError: the window or the length makes no sense for this primer.
            InvalidInputError: the primer is no MIDI file or has no piano notes.
            OutputExistsError: the output exists and is not to be overwritten.
            StorageError: reading or writing failed.
        """
        from perceiver_music.generation.primer import (
            EMPTY_OPENING,
            Window,
            choose_window,
            opening_of,
        )

        started = time.perf_counter()
        primer_bytes = _primer_bytes(request)
        midi, window, opening = None, Window(from_us=0, to_us=0), EMPTY_OPENING
        if primer_bytes is not None:
            midi = _parse(primer_bytes, request, warn)
            window = choose_window(
                midi.performance,
                from_seconds=request.from_seconds,
                to_seconds=request.to_seconds,
                last_seconds=request.last_seconds,
            )
            opening = opening_of(midi.performance, window)
        limits = _limits(request, midi, window)
        music = self._decode(request, opening, limits, on_progress, on_event)
        decode_seconds = time.perf_counter() - started
        settings = self._settings(request, primer_bytes)
        data = _as_midi(request, midi, window, opening, music, settings)
        if request.output is not None:
            write_bytes_atomically(request.output, data, overwrite=request.overwrite)
        return ContinueResult(
            primer=request.primer_name if midi is not None else None,
            output=request.output,
            index=request.index,
            seed=request.seed,
            primer_events=opening.num_events,
            events=len(music.ids),
            notes=music.num_notes,
            seconds=_seconds_of(music),
            ended=music.ended,
            checkpoint=self._loaded.name,
            checkpoint_sha256=self._loaded.sha256,
            sampling=request.sampling,
            context=self.context,
            latents=self.latents,
            events_per_second=len(music.ids) / max(decode_seconds, 1e-9),
            midi=data,
        )

    def _decode(
        self,
        request: ContinueRequest,
        opening: Opening,
        limits: Limits,
        on_progress: ProgressCallback,
        on_event: EventCallback | None,
    ) -> Continuation:
        from perceiver_music.generation.continuation import continue_events
        from perceiver_music.generation.sampling import variation_rng

        growing = continue_events(
            self._loaded.model,
            opening,
            limits=limits,
            sampling=request.sampling,
            rng=variation_rng(request.seed, request.index),
            context=self.context,
            latents=self.latents,
        )
        num_told = 0
        for music in growing:
            if on_event is not None and len(music.ids) > num_told:
                on_event(music.ids[-1])
            if len(music.ids) % _EVENTS_BETWEEN_REPORTS == 0 or music.ended:
                on_progress(_progress(music, limits))
            num_told = len(music.ids)
        return music

    def _settings(self, request: ContinueRequest, primer: bytes | None) -> dict[str, Any]:
        """All that decided the output, stored in it for a later replay."""
        import torch

        return {
            "schema": SETTINGS_SCHEMA,
            "version": __version__,
            "command": "compose" if primer is None else "continue",
            "primer": request.primer_name or None,
            "primer_sha256": None if primer is None else sha256_of_bytes(primer),
            "seed": request.seed,
            "index": request.index,
            "length": {"amount": request.length.amount, "unit": request.length.unit},
            "from_seconds": request.from_seconds,
            "to_seconds": request.to_seconds,
            "last_seconds": request.last_seconds,
            "include_primer": request.include_primer,
            "ending": request.ending,
            "sampling": request.sampling.as_json(),
            "context": self.context,
            "latents": self.latents,
            "checkpoint": self._loaded.name,
            "checkpoint_sha256": self._loaded.sha256,
            "device": self._loaded.model.device.type,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "kernel": torch.backends.cpu.get_cpu_capability(),
        }


def open_session(
    checkpoint: str | None = None,
    *,
    device: str = "auto",
    context: int | None = None,
    latents: int | None = None,
) -> Session:
    """Load a checkpoint to make music with.

    Args:
        checkpoint: name or folder; None is the bundled one.
        device: `auto`, `cpu`, `cuda`, `mps`.
        context: the most events a prediction sees; None for the checkpoint's own.
        latents: how many of them go through the stack; None for the checkpoint's own.

    Raises:
        UsageError: context and latents do not fit together.
        InvalidInputError: there is no such checkpoint, or it is damaged.
        UnavailableError: no such device, or no bundled checkpoint.
    """
    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.device import choose_device

    loaded = load_checkpoint(resolve_checkpoint(checkpoint), choose_device(device))
    context = loaded.context if context is None else context
    latents = min(loaded.latents, context) if latents is None else latents
    if not 2 <= latents <= context:
        raise UsageError(
            f"{latents} latents in a context of {context}",
            hint="Latents go from 2 to the context.",
        )
    return Session(loaded, context=context, latents=latents)


def _primer_bytes(request: ContinueRequest) -> bytes | None:
    from perceiver_music.music.midi_chunks import MAX_FILE_BYTES

    if request.primer is None or isinstance(request.primer, bytes):
        return request.primer
    return read_bytes(request.primer, limit=MAX_FILE_BYTES)


def _parse(data: bytes, request: ContinueRequest, warn: WarningCallback) -> MidiFile:
    from perceiver_music.music.midi_file import parse_midi

    midi = parse_midi(data, name=request.primer_name)
    for warning in midi.warnings:
        warn(f"{request.primer_name}: {warning}")
    if not midi.performance.num_notes:
        raise InvalidInputError(
            "has no piano notes to go on from",
            path=request.primer_name,
            hint="`perceiver-music compose` needs no primer.",
        )
    return midi


def _limits(request: ContinueRequest, midi: MidiFile | None, window: Window) -> Limits:
    from perceiver_music.generation.continuation import Limits
    from perceiver_music.tokenizer.vocabulary import STEPS_PER_SECOND

    amount, unit = request.length.amount, request.length.unit
    if unit == "events":
        return Limits(num_events=int(amount), is_ending_allowed=request.ending)
    if unit == "notes":
        return Limits(num_notes=int(amount), is_ending_allowed=request.ending)
    seconds = amount if unit == "seconds" else amount * _bar_seconds(midi, window, request)
    end_step = max(1, round(seconds * STEPS_PER_SECOND))
    return Limits(end_step=end_step, is_ending_allowed=request.ending)


def _bar_seconds(midi: MidiFile | None, window: Window, request: ContinueRequest) -> float:
    """Length of a bar where the window ends.

    Raises:
        UsageError: the file says neither tempo nor meter, so its bars would be made up.
    """
    assert midi is not None, "the request refuses bars without a primer"
    tick = int(midi.tempo_map.us_to_ticks(window.to_us))
    meters = [meta.data for meta in midi.time_signatures if meta.tick <= tick]
    if not meters:
        raise UsageError(
            "the primer names no meter, so a bar has no length",
            hint="Give --length in seconds, notes or events.",
        )
    numerator, power = meters[-1][0], meters[-1][1]
    quarters = numerator * 4 / 2**power
    if quarters <= 0:
        raise UsageError("the primer's meter has no beats", hint="Give --length in seconds.")
    return float(quarters * midi.tempo_map.quarter_at(window.to_us) / 1e6)


def _progress(music: Continuation, limits: Limits) -> Progress:
    if limits.num_events is not None:
        return Progress(done=len(music.ids), total=limits.num_events, unit="events")
    if limits.num_notes is not None:
        return Progress(done=music.num_notes, total=limits.num_notes, unit="notes")
    total = None if limits.end_step is None else limits.end_step / 100
    return Progress(done=music.step / 100, total=total, unit="seconds")


def _seconds_of(music: Continuation) -> float:
    return _performance_of(music, None).seconds


def _performance_of(music: Continuation, velocity_bin: int | None) -> Performance:
    """The new notes, counted from where they begin."""
    import numpy as np

    from perceiver_music.tokenizer import vocabulary as v
    from perceiver_music.tokenizer.performance_events import decode

    in_force = [] if velocity_bin is None else [v.VELOCITY + velocity_bin]
    return decode(np.array(in_force + music.ids + music.closing, dtype=np.uint16))


def _as_midi(
    request: ContinueRequest,
    midi: MidiFile | None,
    window: Window,
    opening: Opening,
    music: Continuation,
    settings: dict[str, Any],
) -> bytes:
    from perceiver_music.music.midi_writer import (
        SETTINGS_MARK,
        Seam,
        continued_midi,
        performance_to_midi,
    )
    from perceiver_music.tokenizer.vocabulary import MICROSECONDS_PER_STEP

    performance = _performance_of(music, opening.velocity_bin)
    texts = (SETTINGS_MARK + json.dumps(settings, sort_keys=True),)
    if midi is None:
        return performance_to_midi(performance, texts=texts)
    released = {p: step * MICROSECONDS_PER_STEP for p, step in music.released.items()}
    return continued_midi(
        midi,
        from_us=window.from_us,
        to_us=window.to_us,
        continuation=performance,
        seam=Seam(released_us=released),
        include_primer=request.include_primer,
        texts=texts,
    )
