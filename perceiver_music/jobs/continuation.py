"""`continue`, `compose` and `infill`: new music after a primer, from nothing, or in a gap.

A session loads the checkpoint once; no item depends on another, so that a variation depends on
nothing but its own seed, index, primer, options and checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from perceiver_music import __version__
from perceiver_music.errors import UsageError
from perceiver_music.files import probe_output, sha256_of_bytes, write_bytes_atomically
from perceiver_music.generation.as_written import performance_of
from perceiver_music.jobs.company import MOST_TOGETHER, Company, Made, Planned
from perceiver_music.jobs.context_choice import doubt_about_context
from perceiver_music.jobs.continuation_doubts import warn_of_result
from perceiver_music.jobs.continuation_plan import MidiParser, plan
from perceiver_music.jobs.continuation_request import ContinueRequest, ContinueResult
from perceiver_music.jobs.planned import Plan
from perceiver_music.jobs.progress import (
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
    progress_of,
)
from perceiver_music.jobs.repetition import circles_from_seconds, returns_in_file
from perceiver_music.jobs.stored_settings import ComputeSettings, StoredSettings, request_fields
from perceiver_music.jobs.streaming import EventSink, streamed
from perceiver_music.music.midi_file import parse_midi

__all__ = ["ContinueRequest", "ContinueResult", "Session", "open_session"]

if TYPE_CHECKING:
    from perceiver_music.generation.growth import Continuation
    from perceiver_music.model.decoding import LoadedDecoder

_EVENTS_BETWEEN_REPORTS: Final = 8


class Session:
    """A loaded checkpoint and the compute that every item gets.

    Attributes:
        context, latents: what each prediction sees.
        doubt: what the user should know about them or what computes; None if nothing.
    """

    def __init__(
        self, loaded: LoadedDecoder, *, context: int, latents: int, doubt: str | None = None
    ) -> None:
        self._loaded = loaded
        self.context = context
        self.latents = latents
        self._company = Company()
        self.doubt = doubt
        self._said: set[str] = set()
        # All variations of a primer come one after the other.
        self._parse: MidiParser = lru_cache(maxsize=MOST_TOGETHER)(parse_midi)

    @property
    def loaded(self) -> LoadedDecoder:
        """The checkpoint."""
        return self._loaded

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

    @property
    def compute(self) -> ComputeSettings:
        """What the last digits of its predictions depend on."""
        return ComputeSettings(
            version=__version__,
            context=self.context,
            latents=self.latents,
            **self._loaded.computed_with,
        )

    def announce(self, requests: Sequence[ContinueRequest]) -> None:
        """Say what `run` will be asked for, in this order: it is then decoded together.

        Each is the same piece as alone; they are only made sooner.
        """
        self._company.announce(requests)

    def is_made(self, request: ContinueRequest) -> bool:
        """Whether `run` has the music of what was announced and needs only to write it."""
        return self._company.has(request)

    def run(
        self,
        request: ContinueRequest,
        on_progress: ProgressCallback = no_progress,
        warn: WarningCallback = no_warning,
        stream: EventSink | None = None,
    ) -> ContinueResult:
        """Make one piece.

        Args:
            request: which one.
            on_progress: told of events, notes or seconds, as the length is counted.
            warn: told what is odd about the primer.
            stream: given each event as soon as it is drawn.

        Raises:
            UsageError: the window, the gap or the length makes no sense for this primer.
            InvalidInputError: the primer is no MIDI file or has no piano notes.
            UnavailableError: the checkpoint has not learned to fill gaps.
            OutputExistsError: the output exists and is not to be overwritten.
            StorageError: reading or writing failed.
            NonFiniteError: the model's prediction is not a number.
        """
        made = self._company.take(request)
        planned = self._plan(request) if made is None else made.planned
        for warning in planned.warnings:
            if warning not in self._said:  # once, not once a variation
                self._said.add(warning)
                warn(warning)
        if request.output is not None:
            probe_output(request.output, overwrite=request.overwrite)
        if made is None:
            made = self._decode(planned, on_progress, stream)
        result = self._keep(made)
        warn_of_result(request, result, warn)
        return result

    def _plan(self, request: ContinueRequest) -> Planned:
        warnings: list[str] = []
        planned = plan(
            request,
            self._loaded.description,
            context=self.context,
            latents=self.latents,
            warn=warnings.append,
            parse=self._parse,
        )
        return Planned(plan=planned, warnings=tuple(warnings))

    def _keep(self, made: Made) -> ContinueResult:
        """Write the file, unless its bytes are wanted alone."""
        planned, music = made.planned.plan, made.music
        request = planned.request
        data = self._with_settings(planned, planned.as_midi(music))
        if request.output is not None:
            write_bytes_atomically(request.output, data, overwrite=request.overwrite)
        performance = performance_of(music, planned.opening)
        return ContinueResult(
            primer=request.primer_name if planned.midi is not None else None,
            output=request.output,
            index=request.index,
            seed=request.seed,
            primer_events=planned.opening.num_events,
            events=len(music.ids),
            notes=performance.num_notes,
            seconds=performance.seconds,
            ended=music.ended,
            checkpoint=self._loaded.name,
            checkpoint_sha256=self._loaded.sha256,
            sampling=request.sampling,
            context=self.context,
            latents=self.latents,
            events_per_second=len(music.ids) / max(made.seconds, 1e-9),
            midi=data,
            between_seconds=request.between_seconds,
            begins_at_seconds=planned.begins_at_seconds,
            circles_from_seconds=circles_from_seconds(
                performance, begins_at=planned.begins_at_seconds
            ),
            seconds_for_others=made.seconds_for_others,
            lines_per_quarter=planned.opening.lines_per_quarter,
            returns=returns_in_file(music.returns, begins_at=planned.begins_at_seconds),
        )

    def _decode(
        self,
        planned: Planned,
        on_progress: ProgressCallback,
        stream: EventSink | None,
    ) -> Made:
        def report(music: Continuation) -> None:
            shown = music.tried or music
            if len(shown.ids) % _EVENTS_BETWEEN_REPORTS == 0 or music.ended:
                on_progress(progress_of(shown, planned.plan.limits))

        if stream is None:
            others = self._company.after(planned.plan.request, self._plan)
            return self._company.make(
                [planned, *others],
                self._loaded.model,
                context=self.context,
                latents=self.latents,
                on_music=report,
            )
        return self._stream(planned, report, stream)

    def _stream(
        self, planned: Planned, report: Callable[[Continuation], None], stream: EventSink
    ) -> Made:
        """Alone, each event given away as soon as it is drawn."""
        from perceiver_music.generation.continuation import continue_events
        from perceiver_music.generation.sampling import variation_rng

        own, request = planned.plan, planned.plan.request
        growing = continue_events(
            self._loaded.model,
            own.opening,
            limits=own.limits,
            sampling=request.sampling,
            rng=variation_rng(request.seed, request.index),
            context=self.context,
            latents=self.latents,
            starts_at_once=own.starts_at_once,
        )
        started = time.perf_counter()
        for music in streamed(growing, own.opening, stream):
            report(music)
        return Made(planned=planned, music=music, seconds=time.perf_counter() - started)

    def _with_settings(self, planned: Plan, midi: bytes) -> bytes:
        """The file with all that decided it, for a later replay."""
        from perceiver_music.music.embedded import Embedded, deflated, with_embedded

        primer, request = planned.primer, planned.request
        stored = StoredSettings(
            command=request.command,
            primer=request.primer_name or None,
            primer_sha256=None if primer is None else sha256_of_bytes(primer),
            music_sha256=sha256_of_bytes(midi),
            checkpoint=self._loaded.name,
            checkpoint_sha256=self._loaded.sha256,
            compute=self.compute,
            request=request_fields(request),
        )
        embedded = Embedded(
            settings=stored.as_text(),
            deflated_primer=None if primer is None else deflated(primer),
        )
        return with_embedded(midi, embedded)


def open_session(
    checkpoint: str | None = None,
    *,
    device: str = "auto",
    decoder: str = "auto",
    policy: str = "exact",
    context: int | None = None,
    latents: int | None = None,
    fills_gaps: bool = False,
) -> Session:
    """Load a checkpoint to make music with.

    Args:
        checkpoint: name or folder; None is the bundled one.
        device: see `model.decoding.load_decoder`.
        decoder: the same.
        policy: the same.
        context: the most events a prediction sees; None for the checkpoint's own.
        latents: how many go through the stack; None for the checkpoint's own.
        fills_gaps: what is made will fill gaps, which takes some more unless `latents` says.

    Raises:
        UsageError: context and latents do not fit together, or there is no such policy.
        StorageError: there is no such checkpoint.
        InvalidInputError: it is none, or damaged.
        UnavailableError: no such device, no such decoder here, or no bundled checkpoint.
    """
    from perceiver_music.generation.infill import gap_latents
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
    from perceiver_music.model.decoding import load_decoder

    path = resolve_checkpoint(checkpoint)
    loaded = load_decoder(path, device=device, decoder=decoder, policy=policy)
    doubt = loaded.doubt or doubt_about_context(context, loaded.description)
    context = loaded.context if context is None else context
    if latents is None:
        latents = gap_latents(loaded.latents) if fills_gaps else loaded.latents
        latents = min(latents, context)
    if not 2 <= latents <= context:
        raise UsageError(
            f"a context of {context:,} events with {latents:,} latents",
            hint="The context is 2 or more; latents go from 2 to the context.",
        )
    return Session(loaded, context=context, latents=latents, doubt=doubt)
