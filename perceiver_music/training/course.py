"""What happens between training steps: reports, validation, saving, stopping."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NoReturn

import torch

from perceiver_music.errors import NonFiniteError, StoppedBySignalError, StorageError
from perceiver_music.training.loop import TrainingLoop
from perceiver_music.training.metrics import MetricsWriter, TrainingReport
from perceiver_music.training.run_file import RUN_FILE
from perceiver_music.training.validation import ValidationStopped

ReportCallback = Callable[[TrainingReport], None]
StepCallback = Callable[[int], None]
ExportCallback = Callable[[TrainingReport], str]

_SIGNALS_THAT_KILL: Final = 3


def follow(
    loop: TrainingLoop,
    *,
    on_step: StepCallback,
    on_report: ReportCallback,
    export: ExportCallback,
) -> TrainingReport:
    """Train to the end of the schedule or of the time.

    Args:
        loop: at its first step, or where a run stood.
        on_step: called with the number of steps done, after each.
        on_report: called with every report, on the first rank.
        export: called with a report when a checkpoint is due, on the first rank; returns where
            it is.

    Returns:
        The last report.

    Raises:
        NonFiniteError: the loss or a gradient is not finite; the last saved state is from
            before it.
        StoppedBySignalError: SIGINT or SIGTERM; the state was saved.
        StorageError: something could not be written.
    """
    metrics = None
    if loop.setting.ranks.is_first:
        metrics = MetricsWriter(loop.setting.run_folder, resumed_at=loop.counts.step)
    try:
        with _caught_signals() as caught:
            return _Course(loop, metrics, caught, on_step, on_report, export).follow()
    finally:
        if metrics is not None:
            metrics.close()


class _Course:
    """One stretch of a run."""

    def __init__(
        self,
        loop: TrainingLoop,
        metrics: MetricsWriter | None,
        caught: list[int],
        on_step: StepCallback,
        on_report: ReportCallback,
        export: ExportCallback,
    ) -> None:
        self._loop, self._metrics, self._caught = loop, metrics, caught
        self._on_step, self._on_report, self._export = on_step, on_report, export
        self._earlier_seconds = loop.counts.seconds
        self._begun = time.monotonic()
        self._mark = (self._begun, loop.counts.loss_tokens)
        self._saved_step = loop.counts.step
        self._last: TrainingReport | None = None

    def follow(self) -> TrainingReport:
        """Train until the end of the schedule, of the time, or a signal."""
        loop = self._loop
        is_late = False
        if loop.config.run.validate_first and not loop.counts.step:
            self._validate()
        if loop.counts.is_step_open:
            self._do_what_is_due()
        while loop.counts.step < loop.config.schedule.max_steps and not is_late:
            loop.train_step()
            self._on_step(loop.counts.step)
            signal_number, is_late = self._wish_to_stop()
            if signal_number:
                self._stop(signal_number)
            if not is_late:
                self._do_what_is_due()
        if loop.counts.step > self._saved_step:
            self._save()
        if self._last is None or self._last.step != loop.counts.step:
            self._validate()
        assert self._last is not None
        return self._last

    def _do_what_is_due(self) -> None:
        """After a step: validation or a report, and saving."""
        self._check_folder()
        loop, run = self._loop, self._loop.config.run
        step = loop.counts.step
        if step % run.validate_every == 0 or step == loop.config.schedule.max_steps:
            self._validate()
        elif step % run.log_every == 0:
            self._publish(self._measure(None))
        if step % run.checkpoint_every == 0:
            self._save()
            self._saved_step = step

    def _stop(self, signal_number: int) -> NoReturn:
        """Save, with what is due after this step left for later, and say so."""
        loop = self._loop
        self._save(is_step_open=True)
        raise StoppedBySignalError(
            f"stopped at step {loop.counts.step}; the run is saved",
            signal_number=signal_number,
            hint=f"Go on with: perceiver-music train --resume --output {loop.setting.run_folder}",
        )

    def _seconds(self) -> float:
        return self._earlier_seconds + time.monotonic() - self._begun

    def _wish_to_stop(self) -> tuple[int, bool]:
        """Whether any rank caught a signal or is out of time; all must stop together."""
        limit = self._loop.setting.max_minutes
        is_late = limit is not None and time.monotonic() - self._begun >= 60 * limit
        caught = self._caught[0] if self._caught else 0
        ranks, device = self._loop.setting.ranks, self._loop.setting.device
        sums = ranks.sum(float(caught > 0), float(is_late), device=device)
        if sums[0]:
            return caught or signal.SIGTERM, False
        return 0, sums[1] > 0

    def _validate(self) -> None:
        try:
            nats = self._loop.validate(should_stop=lambda: bool(self._caught))
        except ValidationStopped:
            self._stop(self._caught[0] if self._caught else signal.SIGTERM)
        report = self._measure(nats)
        self._loop.check_weights()
        self._check_folder()
        if self._loop.setting.ranks.is_first:
            report = replace(report, checkpoint=self._export(report))
        self._publish(report)
        self._last = report

    def _save(self, *, is_step_open: bool = False) -> None:
        self._check_folder()
        self._loop.save(self._seconds(), is_step_open=is_step_open)

    def _check_folder(self) -> None:
        """What is saved where nobody can go on from it would be lost."""
        folder = self._loop.setting.run_folder
        if self._loop.setting.ranks.is_first and not (folder / RUN_FILE).exists():
            raise StorageError(
                f"its {RUN_FILE} is gone: was it moved or removed?",
                path=folder,
                hint="What was saved before is where the folder went: train --resume --output it.",
            )

    def _publish(self, report: TrainingReport) -> None:
        if self._metrics is not None:
            self._metrics.write(report)
            self._on_report(report)
        self._loop.unreported_nats.clear()
        self._mark = (time.monotonic(), self._loop.counts.loss_tokens)

    def _measure(self, validation: float | None) -> TrainingReport:
        loop = self._loop
        steps = loop.unreported_nats
        train = float(torch.stack(steps).mean()) if steps else None
        if train is not None:
            (train,) = loop.setting.ranks.sum(train, device=loop.setting.device)
        if not all(math.isfinite(nats) for nats in (train, validation) if nats is not None):
            raise NonFiniteError(
                f"the loss is not finite at step {loop.counts.step}",
                path=loop.setting.run_folder,
                hint="Resume from the last saved step with lower rates, or another run.seed.",
            )
        now, (then, tokens_then) = time.monotonic(), self._mark
        rate = (loop.counts.loss_tokens - tokens_then) / max(now - then, 1e-9)
        return TrainingReport(
            run=str(loop.setting.run_folder),
            step=loop.counts.step,
            loss_tokens=loop.counts.loss_tokens,
            train_nats_per_event=train,
            validation_nats_per_event=validation,
            loss_tokens_per_second=rate if steps else 0.0,
            rate_factor=loop.config.schedule.rate_at(loop.counts.step),
            context=loop.config.windows.context_at(loop.counts.step),
            seconds=self._seconds(),
        )


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of dying of them; the third one kills as usual.

    A second one is often the same wish sent twice (to the process and to its group), and must not
    spoil the saving that the first has begun.
    """
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        if len(caught) < _SIGNALS_THAT_KILL - 1:
            return
        for each in (signal.SIGINT, signal.SIGTERM):
            is_interrupt = each == signal.SIGINT
            signal.signal(each, signal.default_int_handler if is_interrupt else signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
