"""What `continue`, `compose` and `infill` share: the batch of variations that they are."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.failures import Terminated, as_failure, report
from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.inputs import InputFile
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.outputs import (
    ExistingOutputs,
    NameParts,
    OutputNames,
    check_midi_name,
    check_stdout,
    refuse_collisions,
    without_own_outputs,
)
from perceiver_music.cli.streaming import streaming
from perceiver_music.errors import OutputExistsError, PerceiverMusicError
from perceiver_music.generation.options import LARGEST_SEED
from perceiver_music.generation.options import LengthOption as LengthOfMusic

if TYPE_CHECKING:
    from perceiver_music.jobs.continuation import ContinueRequest, Session

AUDIO_SUFFIX = ".wav"


@dataclass(frozen=True, kw_only=True)
class _Variation:
    """One item of the batch: which primer, which number, and where it goes."""

    source: InputFile
    index: int
    seed: int
    midi: Path | None
    audio: Path | None
    checkpoint: Mapping[str, str]

    @property
    def fields(self) -> dict[str, object]:
        """What every JSON object of this item says, however it ends."""
        return {"seed": self.seed, "index": self.index, **self.checkpoint}

    @property
    def input_names(self) -> list[str]:
        return [] if self.source.is_nothing else [self.source.name]

    @property
    def outputs(self) -> list[Path]:
        return [path for path in (self.midi, self.audio) if path is not None]


def run_generation(invocation: Invocation, call: GenerationCall) -> int:
    """Makes every variation of every primer, in their order; returns the exit code."""
    console = invocation.console
    if call.stream:  # events and results share standard output, so both are JSON
        console.as_json = True
    names = OutputNames(wanted=call.output, default=call.default_name, numbered=call.variations > 1)
    _check_names(call, names, as_json=console.as_json)
    seed = secrets.randbelow(LARGEST_SEED + 1) if call.seed is None else call.seed
    variations, num_left_out = without_own_outputs(list(_variations(call, names, seed)))
    if num_left_out:
        console.info(f"left out, as outputs of this command: {num_left_out}")
    refuse_collisions(
        [item.outputs for item in variations], inputs=[item.source.path for item in variations]
    )
    session = None
    if any(_needs_work(item, call.existing) for item in variations):
        session = _open_session(call)
        console.info(f"device: {session.device}")
        console.detail(f"decoder: {session.decoder}")
        if session.doubt is not None:
            console.warning(session.doubt)
        if not call.stream and call.port is None:
            _announce(call, session, variations)
    console.info(f"seed: {seed}")
    if call.length.is_of_few_events:
        console.info(f"length: {call.length.in_words}")
    items = (
        Item(
            inputs=item.input_names,
            work=partial(_make, invocation, call, session, item),
            fields=item.fields,
        )
        for item in variations
    )
    try:
        return run_batch(invocation, items, num_inputs=len(call.inputs))
    except (KeyboardInterrupt, Terminated) as stop:
        if session is not None:
            _keep_finished(invocation, call, session, variations)
        if session is None or not session.num_written:
            raise
        raise _stopped(stop, session.num_written, variations, seed) from None


def _keep_finished(
    invocation: Invocation,
    call: GenerationCall,
    session: Session,
    variations: Sequence[_Variation],
) -> None:
    """Writes what is finished of the pieces that were being made together, without its sound."""
    for item in variations:
        if item.source.failure is None and session.is_made(_request(call, item)):
            try:
                _make(invocation, call, session, replace(item, audio=None), time.perf_counter())
            except PerceiverMusicError as error:
                report(error, invocation.console)


def _stopped(
    stop: BaseException, num_written: int, variations: Sequence[_Variation], seed: int
) -> PerceiverMusicError:
    failure = as_failure(stop)
    failure.message += f"; {num_written} of {len(variations)} are finished, and kept"
    silent = sum(is_there == [True, False] for is_there in map(_which_are_there, variations))
    failure.message += f", {silent} without sound" if silent else ""
    failure.hint = f"For the rest run it again with --seed {seed} --skip-existing."
    return failure


def _which_are_there(item: _Variation) -> list[bool]:
    return [path.exists() for path in item.outputs]


def _check_names(call: GenerationCall, names: OutputNames, *, as_json: bool) -> None:
    if names.to_stdout:
        check_stdout(
            num_items=len(call.inputs) * call.variations,
            as_json=as_json,
            streams=call.stream,
            also_writes="--render" if call.render else None,
        )
    else:
        check_midi_name(
            names.template,
            hint="End it in .mid (or in / for a folder); --render makes the sound beside it.",
        )


def _variations(call: GenerationCall, names: OutputNames, seed: int) -> Iterator[_Variation]:
    from perceiver_music.jobs.continuation_plan import check_infill
    from perceiver_music.jobs.models import info

    description = info(call.checkpoint).description
    if "between_seconds" in call.window:
        check_infill(description)
    checkpoint = {"checkpoint": description.name, "checkpoint_sha256": description.sha256}
    for source in call.inputs:
        make = partial(_Variation, source=source, seed=seed, checkpoint=checkpoint)
        if source.failure is not None:  # said once, not once a variation
            yield make(index=1, midi=None, audio=None)
            continue
        for index in range(1, call.variations + 1):
            parts = NameParts(stem=source.stem, index=index, seed=seed, checkpoint=description.name)
            midi = None if names.to_stdout else names.path(parts)
            audio = midi.with_suffix(AUDIO_SUFFIX) if midi is not None and call.render else None
            yield make(index=index, midi=midi, audio=audio)


def _open_session(call: GenerationCall) -> Session:
    from perceiver_music.jobs import continuation as job

    return job.open_session(
        call.checkpoint,
        device=call.device,
        decoder=call.decoder,
        policy=call.policy,
        context=call.context,
        latents=call.latents,
        fills_gaps="between_seconds" in call.window,
    )


def _needs_work(item: _Variation, existing: ExistingOutputs) -> bool:
    """Whether the item will want the model; its failures are told in its turn."""
    try:
        return item.source.failure is None and not _is_there(item, existing)
    except OutputExistsError:
        return False


def _make(
    invocation: Invocation,
    call: GenerationCall,
    session: Session | None,
    item: _Variation,
    started: float,
) -> bool:
    """Makes one variation and prints what it became; False when it was there already."""
    request = _request(call, item)
    if _is_there(item, call.existing):
        return _make_the_rest(invocation, call, item, started)
    assert session is not None
    console = invocation.console
    with (
        console.progress(item.source.stem) as on_progress,
        streaming(invocation, call, item.index) as stream,
    ):
        result = session.run(request, on_progress, console.warning, stream)
        if stream is not None:
            stream.finish()
    if item.midi is None:
        console.binary(result.midi)
        return True
    console.detail(
        f"{result.events:,} events, {result.notes:,} notes, {result.seconds:.1f} s, ended by "
        f"{result.ended}; {result.events_per_second:,.0f} events/s"
    )
    fields = result.as_json()
    invocation.written(item.midi)
    if item.audio is not None:
        fields["audio"] = _make_audible(invocation, item, call.existing)
        invocation.written(item.audio)
    invocation.emit(fields, inputs=item.input_names, outputs=item.outputs, since=started)
    return True


def _request(call: GenerationCall, item: _Variation) -> ContinueRequest:
    from perceiver_music.jobs.continuation import ContinueRequest

    primer = None if item.source.is_nothing else item.source.source
    return ContinueRequest(
        primer=primer,
        primer_name=item.source.name if primer is not None else "",
        output=item.midi,
        overwrite=call.existing.force,
        seed=item.seed,
        index=item.index,
        length=LengthOfMusic(amount=call.length.amount, unit=call.length.unit),
        ending=call.ending,
        sampling=call.sampling,
        **call.window,
    )


def _announce(call: GenerationCall, session: Session, variations: Sequence[_Variation]) -> None:
    """Has neighbours in the batch made together; what is wrong is told in an item's turn."""
    with contextlib.suppress(PerceiverMusicError):
        session.announce(
            [_request(call, item) for item in variations if _needs_work(item, call.existing)]
        )


def _make_the_rest(
    invocation: Invocation,
    call: GenerationCall,
    item: _Variation,
    started: float,
) -> bool:
    """Of an item whose MIDI file is to be left alone: the sound, if that is still wanted."""
    assert item.midi is not None
    if item.audio is None or call.existing.should_skip(item.audio):
        invocation.skipped(item.outputs, inputs=item.input_names, since=started, **item.fields)
        return False
    audio = _make_audible(invocation, item, call.existing)
    fields = {**item.fields, "output": item.midi, "skipped": True, "audio": audio}
    invocation.written(item.audio)
    invocation.emit(fields, inputs=item.input_names, outputs=item.outputs, since=started)
    return True


def _is_there(item: _Variation, existing: ExistingOutputs) -> bool:
    """Whether the MIDI file is there and is to be left alone.

    Raises:
        OutputExistsError: something is there, and is neither to be left alone nor replaced.
    """
    midi_is_there = item.midi is not None and existing.should_skip(item.midi)
    if item.audio is not None and existing.should_skip(item.audio) and not midi_is_there:
        raise OutputExistsError("exists already, without its MIDI file", path=item.audio)
    return midi_is_there


def _make_audible(
    invocation: Invocation, item: _Variation, existing: ExistingOutputs
) -> dict[str, object]:
    from perceiver_music.jobs import render as job

    assert item.midi is not None
    request = job.RenderRequest(
        midi=item.midi, input_name=str(item.midi), output=item.audio, overwrite=existing.force
    )
    console = invocation.console
    with console.progress(f"render {item.midi.stem}") as on_progress:
        result = job.run(request, on_progress, console.warning)
    console.info(f"played by {result.synthesizer}, {result.soundfont}")
    return result.as_json()
