"""What a request means for its primer: what the model sees, how far it goes, and the file then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from perceiver_music.errors import InvalidInputError, UnavailableError, UsageError
from perceiver_music.files import probe_output, read_bytes
from perceiver_music.jobs.continuation_doubts import (
    HARDLY_SECONDS,
    warn_of_many_events,
    warn_of_short_ending,
    warn_of_short_primer,
    warn_of_silence,
)
from perceiver_music.jobs.continuation_request import ContinueRequest
from perceiver_music.jobs.planned import Plan
from perceiver_music.jobs.progress import WarningCallback, no_warning
from perceiver_music.music.midi_file import MidiFile, lack_of_notes, parse_midi

if TYPE_CHECKING:
    from perceiver_music.generation.limits import Limits
    from perceiver_music.generation.primer import Window
    from perceiver_music.model.checkpoint_description import CheckpointDescription


class MidiParser(Protocol):
    """What reads the bytes of a MIDI file: see `parse_midi`."""

    def __call__(self, data: bytes, *, name: str) -> MidiFile: ...


def plan(
    request: ContinueRequest,
    description: CheckpointDescription,
    *,
    context: int,
    latents: int,
    warn: WarningCallback,
    parse: MidiParser = parse_midi,
) -> Plan:
    """Read the primer and settle what is to be made.

    `parse` may know what it has read already.

    Raises:
        UsageError: the window, the gap or the length makes no sense for this primer.
        InvalidInputError: the primer is no MIDI file or has no piano notes.
        UnavailableError: the checkpoint has not learned to fill gaps.
        StorageError: reading failed.
    """
    from perceiver_music.generation.as_written import opening_as_written
    from perceiver_music.generation.pedal_opening import opening_for
    from perceiver_music.generation.primer import Window
    from perceiver_music.music.embedded import without_embedded
    from perceiver_music.music.performance import MICROSECONDS
    from perceiver_music.tokenizer.registry import get_tokenizer

    tokenizer = get_tokenizer(description.tokenizer_name)
    data = _primer_bytes(request)
    if data is None:
        window = Window(from_us=0, to_us=0)
        limits = _limits(request, None, window)
        warn_of_short_ending(request, limits, warn)
        opening = opening_for(tokenizer, None, window)
        warn_of_many_events(request, opening, limits, warn)
        none = {"primer": None, "midi": None}
        return Plan(request=request, window=window, opening=opening, limits=limits, **none)
    midi = _parse(data, request, warn, parse)
    if request.between_seconds is not None:
        return _plan_of_gap(
            request, data, midi, description, context=context, latents=latents, warn=warn
        )
    window = _window(request, midi)
    end_seconds = window.to_us / MICROSECONDS
    warn_of_short_primer(request, end_seconds, warn)
    opening = opening_for(tokenizer, midi.performance, window)
    opening = opening_as_written(opening, midi, window, request.sampling)
    if not opening.has_notes:
        warn_of_silence(request, window, warn)
    limits = _limits(request, midi, window)
    warn_of_short_ending(request, limits, warn)
    warn_of_many_events(request, opening, limits, warn)
    return Plan(
        request=request,
        primer=without_embedded(data),
        midi=midi,
        window=window,
        opening=opening,
        limits=limits,
    )


def check(request: ContinueRequest) -> None:
    """Find, before any model is loaded, what `plan` and the writing would find wrong.

    A primer that can be read only once, as a pipe, is left alone.

    Raises:
        UsageError: the window, the gap or the length makes no sense for this primer.
        InvalidInputError: the primer is no MIDI file or has no piano notes.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading failed, or the output cannot be written.
    """
    primer = request.primer
    is_pipe = isinstance(primer, Path) and primer.exists() and not primer.is_file()
    data = None if is_pipe else _primer_bytes(request)
    if data is not None:
        midi = _parse(data, request, no_warning)
        if request.between_seconds is not None:
            _gap(request, midi)
        else:
            _limits(request, midi, _window(request, midi))
    if request.output is not None:
        probe_output(request.output, overwrite=request.overwrite)


def check_infill(description: CheckpointDescription) -> tuple[float, float]:
    """Shortest and longest gap that a checkpoint was trained to fill, in seconds.

    Raises:
        UnavailableError: it was not trained to fill any.
    """
    seconds = description.infill_seconds
    if seconds is None:
        raise UnavailableError(
            f"the checkpoint '{description.name}' has not learned to fill gaps",
            hint="Name one trained with windows.infill_share above 0: --checkpoint NAME|PATH.",
        )
    return seconds


def _window(request: ContinueRequest, midi: MidiFile) -> Window:
    from perceiver_music.generation.primer import choose_window

    with _naming(request):
        return choose_window(
            midi.performance,
            from_seconds=request.from_seconds,
            to_seconds=request.to_seconds,
            last_seconds=request.last_seconds,
        )


def _gap(request: ContinueRequest, midi: MidiFile) -> Window:
    from perceiver_music.generation.infill import choose_gap

    assert request.between_seconds is not None
    with _naming(request):
        return choose_gap(midi.performance, *request.between_seconds)


@contextmanager
def _naming(request: ContinueRequest) -> Iterator[None]:
    """Moments that make no sense for a file: the failure names it, for it may be one of many."""
    try:
        yield
    except (UsageError, InvalidInputError) as error:
        raise type(error)(error.message, path=request.primer_name, hint=error.hint) from None


def _limits(request: ContinueRequest, midi: MidiFile | None, window: Window) -> Limits:
    from perceiver_music.generation.length import limits_of

    with _naming(request) if midi is not None else nullcontext():
        if midi is not None and midi.is_in_frames and request.length.unit == "bars":
            raise UsageError(
                "its times are in frames (SMPTE), so it has no bars",
                hint="Give --length in seconds, notes or events.",
            )
        return limits_of(
            request.length, is_ending_allowed=request.ending, primer=midi, seam_us=window.to_us
        )


def _plan_of_gap(
    request: ContinueRequest,
    data: bytes,
    midi: MidiFile,
    description: CheckpointDescription,
    *,
    context: int,
    latents: int,
    warn: WarningCallback,
) -> Plan:
    from perceiver_music.generation.as_written import opening_as_written
    from perceiver_music.generation.infill import opening_and_limits
    from perceiver_music.generation.primer import Window
    from perceiver_music.music.embedded import without_embedded

    shortest, longest = check_infill(description)
    assert request.between_seconds is not None
    first, last = request.between_seconds
    gap = _gap(request, midi)
    end_seconds = midi.performance.seconds
    if last > end_seconds + HARDLY_SECONDS:
        warn(
            f"{request.primer_name}: ends at {end_seconds:.1f} s, before the {last:g} s of "
            "--between: music is added up to there"
        )
    if not shortest <= last - first <= longest:
        warn(
            f"{request.primer_name}: a gap of {last - first:g} s; the checkpoint was trained to "
            f"fill {shortest:g} to {longest:g} s"
        )
    joins = request.sampling.keep_joint
    opening, limits = opening_and_limits(
        midi.performance, gap, context=context, latents=latents, keeps_joint=joins
    )
    before = Window(from_us=0, to_us=gap.from_us)
    opening = opening_as_written(opening, midi, before, request.sampling, after_us=gap.to_us)
    own = without_embedded(data)
    return Plan(request=request, primer=own, midi=midi, window=gap, opening=opening, limits=limits)


def _primer_bytes(request: ContinueRequest) -> bytes | None:
    from perceiver_music.music.midi_chunks import MAX_FILE_BYTES

    if request.primer is None or isinstance(request.primer, bytes):
        return request.primer
    return read_bytes(request.primer, limit=MAX_FILE_BYTES)


def _parse(
    data: bytes,
    request: ContinueRequest,
    warn: WarningCallback,
    parse: MidiParser = parse_midi,
) -> MidiFile:
    midi = parse(data, name=request.primer_name)
    for warning in midi.warnings:
        warn(f"{request.primer_name}: {warning}")
    if not midi.performance.num_notes:
        raise InvalidInputError(
            lack_of_notes(midi.warnings),
            path=request.primer_name,
            hint="`perceiver-music compose` makes music from nothing.",
        )
    return midi
