"""`continue` and `compose`: new music after a primer, or from nothing.

A session loads the checkpoint once; each item is then decoded alone, so that a variation depends
on nothing but its own seed, index, primer, options and checkpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from perceiver_music import __version__
from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import probe_output, read_bytes, sha256_of_bytes, write_bytes_atomically
from perceiver_music.jobs.continuation_request import ContinueRequest, ContinueResult
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)

__all__ = ["ContinueRequest", "ContinueResult", "Session", "open_session"]

if TYPE_CHECKING:
    from perceiver_music.generation.continuation import Continuation, Limits
    from perceiver_music.generation.primer import Opening, Window
    from perceiver_music.model.decoding import LoadedDecoder
    from perceiver_music.music.midi_file import MidiFile
    from perceiver_music.music.performance import Performance

SETTINGS_SCHEMA: Final = "perceiver-music-settings/1"
_EVENTS_BETWEEN_REPORTS = 8
EventCallback = Callable[[int], None]


class Session:
    """A loaded checkpoint and the compute that every item gets."""

    def __init__(self, loaded: LoadedDecoder, *, context: int, latents: int) -> None:
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
        return self._loaded.device

    @property
    def decoder(self) -> str:
        """What computes."""
        return self._loaded.full_name

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
            NonFiniteError: the model's prediction is not a number.
        """
        from perceiver_music.generation.length import limits_of
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
        if request.output is not None:
            probe_output(request.output, overwrite=request.overwrite)
        limits = limits_of(
            request.length,
            is_ending_allowed=request.ending,
            primer=midi,
            seam_us=window.to_us,
        )
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
            seconds=_performance_of(music, None).seconds,
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
            **self._loaded.computed_with,
        }


def open_session(
    checkpoint: str | None = None,
    *,
    device: str = "auto",
    decoder: str = "auto",
    context: int | None = None,
    latents: int | None = None,
) -> Session:
    """Load a checkpoint to make music with.

    Args:
        checkpoint: name or folder; None is the bundled one.
        device: see `model.decoding.load_decoder`.
        decoder: the same.
        context: the most events a prediction sees; None for the checkpoint's own.
        latents: how many go through the stack; None for the checkpoint's own.

    Raises:
        UsageError: context and latents do not fit together.
        InvalidInputError: there is no such checkpoint, or it is damaged.
        UnavailableError: no such device, no such decoder here, or no bundled checkpoint.
    """
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.decoding import load_decoder

    loaded = load_decoder(resolve_checkpoint(checkpoint), device=device, decoder=decoder)
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


def _progress(music: Continuation, limits: Limits) -> Progress:
    if limits.num_events is not None:
        return Progress(done=len(music.ids), total=limits.num_events, unit="events")
    if limits.num_notes is not None:
        return Progress(done=music.num_notes, total=limits.num_notes, unit="notes")
    total = None if limits.end_step is None else limits.end_step / 100
    return Progress(done=music.step / 100, total=total, unit="seconds")


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
