"""What `continue`, `compose` and `infill` share: the batch of variations that they are."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perceiver_music.cli.batch import Item, run_batch
from perceiver_music.cli.failures import as_failure, report
from perceiver_music.cli.generation_call import GenerationCall
from perceiver_music.cli.invocation import Invocation
from perceiver_music.cli.outputs import (
    FIELDS,
    OutputNames,
    check_midi_name,
    check_stdout,
    refuse_collisions,
    without_own_outputs,
)
from perceiver_music.cli.signals import Terminated
from perceiver_music.cli.streaming import streaming
from perceiver_music.cli.variations import Variation, is_there, request_for, variations_of
from perceiver_music.errors import PerceiverMusicError
from perceiver_music.generation.options import LARGEST_SEED

if TYPE_CHECKING:
    from perceiver_music.jobs.continuation import Session


def run_generation(invocation: Invocation, call: GenerationCall) -> int:
    """Makes every variation of every primer, in their order; returns the exit code."""
    console = invocation.console
    if call.stream:  # events and results share standard output, so both are JSON
        console.as_json = True
    names = OutputNames(
        wanted=call.output,
        default=call.default_name,
        numbered=call.variations > 1,
        fields=FIELDS,
    )
    _check_names(call, names, as_json=console.as_json)
    seed = secrets.randbelow(LARGEST_SEED + 1) if call.seed is None else call.seed
    variations, num_left_out = without_own_outputs(list(variations_of(call, names, seed)))
    if num_left_out:
        console.info(f"left out, as outputs of this command: {num_left_out}")
    refuse_collisions(
        [item.outputs for item in variations], inputs=[item.source.path for item in variations]
    )
    return _Batch(invocation, call, seed, variations).run()


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


class _Batch:
    """The variations, and the model that makes them as soon as one of them can be made."""

    def __init__(
        self, invocation: Invocation, call: GenerationCall, seed: int, variations: list[Variation]
    ) -> None:
        self._invocation, self._console = invocation, invocation.console
        self._call, self._seed, self._variations = call, seed, variations
        invocation.known["seed"] = seed
        self._session: Session | None = None
        self._written: set[Path] = set()

    def run(self) -> int:
        """Make them all; returns the exit code."""
        # A mistake that needs no model to be found is told without a word about the model.
        if any(map(self._can_be_made, self._variations)):
            self._opened()
        elif any(map(self._is_done, self._variations)):
            self._console.info(f"seed: {self._seed}")
        items = (
            Item(inputs=item.input_names, work=partial(self._make, item), fields=item.fields)
            for item in self._variations
        )
        try:
            return run_batch(self._invocation, items, num_inputs=len(self._call.inputs))
        except (KeyboardInterrupt, Terminated) as stop:
            if self._session is not None:
                self._keep_finished(self._session)
            if not self._written:
                raise
            raise self._stopped(stop) from None

    def _can_be_made(self, item: Variation) -> bool:
        """Whether nothing is wrong with it as far as can be known without the model."""
        from perceiver_music.jobs.continuation_plan import check

        if not self._is_wanted(item):
            return False
        with contextlib.suppress(PerceiverMusicError):
            check(request_for(self._call, item))
            return True
        return False

    def _is_wanted(self, item: Variation) -> bool:
        """Whether the item will want the model; its failures are told in its turn."""
        with contextlib.suppress(PerceiverMusicError):
            return item.source.failure is None and not is_there(item, self._call.existing)
        return False

    def _is_done(self, item: Variation) -> bool:
        with contextlib.suppress(PerceiverMusicError):
            return is_there(item, self._call.existing)
        return False

    def _opened(self) -> Session:
        """The model; the first time it says which device and seed it has."""
        if self._session is not None:
            return self._session
        from perceiver_music.jobs import continuation as job
        from perceiver_music.jobs.streaming import check_port

        call, console = self._call, self._console
        if call.port is not None:
            check_port(call.port)
        self._session = session = job.open_session(
            call.checkpoint,
            device=call.device,
            decoder=call.decoder,
            policy=call.policy,
            context=call.context,
            latents=call.latents,
            fills_gaps="between_seconds" in call.window,
        )
        console.info(f"device: {session.device}")
        console.detail(f"decoder: {session.decoder}")
        if session.doubt is not None:
            console.warning(session.doubt)
        console.info(f"seed: {self._seed}")
        if call.length.is_of_few_events:
            console.info(f"length: {call.length.in_words}")
        if not call.stream and call.port is None:
            # Neighbours are made together; what is wrong with one is told in its turn.
            wanted = filter(self._is_wanted, self._variations)
            with contextlib.suppress(PerceiverMusicError):
                session.announce([request_for(call, item) for item in wanted])
        return session

    def _make(self, item: Variation, started: float) -> bool:
        """Makes one variation and prints what it became; False when it was there already."""
        from perceiver_music.jobs.continuation_plan import check

        call, console = self._call, self._console
        request = request_for(call, item)
        if is_there(item, call.existing):
            return self._make_the_rest(item, started)
        if self._session is None:
            check(request)
        session = self._opened()
        with (
            console.progress(item.source.stem) as on_progress,
            streaming(self._invocation, call, item.index) as stream,
        ):
            result = session.run(request, on_progress, console.warning, stream)
            if stream is not None:
                stream.finish()
        if item.midi is None:
            console.binary(result.midi)
            return True
        if result.lines_per_quarter is not None:
            console.info_once(f"{item.source.name}: quantized; new notes begin on its grid")
        console.detail(
            f"{result.events:,} events, {result.notes:,} notes, {result.seconds:.1f} s, ended by "
            f"{result.ended}; {result.events_per_second:,.0f} events/s"
        )
        fields = result.as_json()
        self._tell_of(item.midi)
        if item.audio is not None:
            fields["audio"] = self._make_audible(item)
        self._invocation.emit(
            fields,
            inputs=item.input_names,
            outputs=item.outputs,
            since=started + result.seconds_for_others,
        )
        return True

    def _make_the_rest(self, item: Variation, started: float) -> bool:
        """Of an item whose MIDI file is to be left alone: the sound, if that is still wanted."""
        assert item.midi is not None
        inputs = item.input_names
        if item.audio is None or self._call.existing.should_skip(item.audio):
            self._invocation.skipped(item.outputs, inputs=inputs, since=started, **item.fields)
            return False
        audio = self._make_audible(item)
        fields = {**item.fields, "output": item.midi, "skipped": True, "audio": audio}
        self._invocation.emit(fields, inputs=inputs, outputs=item.outputs, since=started)
        return True

    def _make_audible(self, item: Variation) -> dict[str, object]:
        from perceiver_music.jobs import render as job

        assert item.midi is not None
        assert item.audio is not None
        request = job.RenderRequest(
            midi=item.midi,
            input_name=str(item.midi),
            output=item.audio,
            overwrite=self._call.existing.force,
        )
        with self._console.progress(f"render {item.midi.stem}") as on_progress:
            result = job.run(request, on_progress, self._console.warning)
        self._console.info_once(f"played by {result.synthesizer}, {result.soundfont}")
        self._tell_of(item.audio)
        return result.as_json()

    def _tell_of(self, path: Path) -> None:
        self._written.add(path)
        self._invocation.written(path)

    def _keep_finished(self, session: Session) -> None:
        """Writes what is finished of the pieces that were being made together, not its sound."""
        for item in self._variations:
            if item.source.failure is None and session.is_made(request_for(self._call, item)):
                try:
                    self._make(replace(item, audio=None), time.perf_counter())
                except PerceiverMusicError as error:
                    report(error, self._console)

    def _stopped(self, stop: BaseException) -> PerceiverMusicError:
        """How an interrupted batch ends that has written something."""
        kinds = {
            "MIDI files": [item.midi for item in self._variations],
            "sound files": [item.audio for item in self._variations if self._call.render],
        }
        counts = [
            f"{sum(map(self._is_kept, paths))} of {len(paths)} {kind}"
            for kind, paths in kinds.items()
            if paths
        ]
        failure = as_failure(stop)
        failure.message += f"; {' and '.join(counts)} are there"
        failure.hint = f"For the rest run it again with --seed {self._seed} --skip-existing."
        return failure

    def _is_kept(self, path: Path | None) -> bool:
        is_old = self._call.existing.skip and path is not None and path.exists()
        return path in self._written or is_old
