"""What happens between training steps: reports, validation, saving, stopping."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from perceiver_music.errors import NonFiniteError, StoppedBySignalError
from perceiver_music.training.loop import TrainingLoop
from perceiver_music.training.metrics import MetricsWriter, TrainingReport

ReportCallback = Callable[[TrainingReport], None]
StepCallback = Callable[[int], None]
ExportCallback = Callable[[TrainingReport], str]


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
        self._nats: list[Tensor] = []
        self._mark = (self._begun, loop.counts.loss_tokens)

    def follow(self) -> TrainingReport:
        """Train until the end of the schedule, of the time, or a signal."""
        loop, run = self._loop, self._loop.config.run
        saved_step = loop.counts.step
        last: TrainingReport | None = None
        while loop.counts.step < loop.config.schedule.max_steps:
            self._nats.append(loop.train_step())
            step = loop.counts.step
            self._on_step(step)
            signal_number, is_late = self._wish_to_stop()
            if signal_number:
                self._report()
                loop.save(self._seconds())
                raise StoppedBySignalError(
                    f"stopped at step {step}; the run is saved",
                    signal_number=signal_number,
                    hint=f"Go on with: train --resume --output {loop.setting.run_folder}",
                )
            if is_late:
                break
            if step % run.validate_every == 0 or step == loop.config.schedule.max_steps:
                last = self._validate()
            elif step % run.log_every == 0:
                self._report()
            if step % run.checkpoint_every == 0:
                loop.save(self._seconds())
                saved_step = step
        if loop.counts.step > saved_step:
            loop.save(self._seconds())
        if last is not None and last.step == loop.counts.step:
            return last
        return self._validate()

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

    def _validate(self) -> TrainingReport:
        report = self._measure(self._loop.validate())
        if self._loop.setting.ranks.is_first:
            report = replace(report, checkpoint=self._export(report))
        return self._publish(report)

    def _report(self) -> TrainingReport:
        return self._publish(self._measure(None))

    def _publish(self, report: TrainingReport) -> TrainingReport:
        if self._metrics is not None:
            self._metrics.write(report)
            self._on_report(report)
        self._nats = []
        self._mark = (time.monotonic(), self._loop.counts.loss_tokens)
        return report

    def _measure(self, validation: float | None) -> TrainingReport:
        loop = self._loop
        train = float(torch.stack(self._nats).mean()) if self._nats else None
        if train is not None:
            (train,) = loop.setting.ranks.sum(train, device=loop.setting.device)
        if train is not None and not math.isfinite(train):
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
            loss_tokens_per_second=rate if self._nats else 0.0,
            rate_factor=loop.config.schedule.rate_at(loop.counts.step),
            context=loop.config.windows.context_at(loop.counts.step),
            seconds=self._seconds(),
        )


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one kills as usual."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
