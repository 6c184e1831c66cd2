"""The training loop: windows in, steps, reports, validation, saved states.

Everything random is a pure function of (seed, step, rank), so a run that stopped goes on bit for
bit. The loss is the mean over all targets of the global batch, whoever holds them, so several
processes compute what one would.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import NOT_SCORED, TrainingWindows, WindowBatch, with_bos_eos
from perceiver_music.errors import NonFiniteError, StoppedBySignalError
from perceiver_music.evaluation.likelihood import ScoringOptions, score_piece
from perceiver_music.model.base import SequenceModel
from perceiver_music.training.config import TrainingConfig
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.metrics import MetricsWriter, TrainingReport
from perceiver_music.training.optimizer import Optimizers
from perceiver_music.training.run_state import RunCounts, SavedState, save_state

ReportCallback = Callable[[TrainingReport], None]


@dataclass(frozen=True, kw_only=True)
class LoopSetting:
    """Where and on what a loop runs.

    Attributes:
        run_folder: for states and metrics.
        device: of the model.
        precision: `fp32`, or `bf16` for autocast over float32 weights.
        max_minutes: stop, saved, after this long; None for no limit.
    """

    run_folder: Path
    device: torch.device
    precision: str
    ranks: Ranks
    max_minutes: float | None = None


class TrainingLoop:
    """One run. `run` trains to the end of the schedule or until something stops it."""

    def __init__(
        self,
        model: SequenceModel,
        store: TokenStore,
        config: TrainingConfig,
        setting: LoopSetting,
        resumed: SavedState | None = None,
    ) -> None:
        self.model, self.config, self._setting = model, config, setting
        self._ranks = setting.ranks
        self._rows = self._ranks.rows(config.windows.windows_per_step)
        self._windows = TrainingWindows(
            store, config.windows, split="train", seed=config.run.seed
        )
        self._validation = _validation_pieces(store, config.run.validation_events)
        self._optimizers = Optimizers(model, config.optimizer)
        self._averaged: dict[str, Tensor] = {}
        self.counts = RunCounts(
            num_threads=torch.get_num_threads(),
            precision=setting.precision,
            world_size=self._ranks.world_size,
            data_sha256=store.sha256,
        )
        if resumed is not None:
            self._restore(resumed)
        elif config.run.ema_decay:
            self._averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self._network = self._wrap(model)

    def _restore(self, saved: SavedState) -> None:
        self.model.load_state_dict(saved.weights)
        self._optimizers.load_state_tensors(saved.optimizer)
        device = self._setting.device
        if self.config.run.ema_decay:
            averaged = saved.averaged or saved.weights
            self._averaged = {k: v.to(device).clone() for k, v in averaged.items()}
        self.counts = replace(
            self.counts,
            step=saved.counts.step,
            loss_tokens=saved.counts.loss_tokens,
            seconds=saved.counts.seconds,
        )

    def _wrap(self, model: SequenceModel) -> nn.Module:
        network: nn.Module = model
        if self._ranks.world_size > 1:
            devices = [self._ranks.local_rank] if self._setting.device.type == "cuda" else None
            network = DistributedDataParallel(model, device_ids=devices)
        return torch.compile(network) if self.config.run.compile else network  # type: ignore[return-value]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights to use: averaged ones where the run keeps them."""
        return self._averaged or self.model.state_dict()

    def run(self, on_report: ReportCallback, export: Callable[[float], str]) -> TrainingReport:
        """Train on.

        Args:
            on_report: called with every report.
            export: called with the validation likelihood when a checkpoint is due; returns
                where it is.

        Returns:
            The last report.

        Raises:
            NonFiniteError: the loss or a gradient is not finite; the last saved state is from
                before it.
            StoppedBySignalError: SIGINT or SIGTERM; the state was saved.
            StorageError: something could not be written.
        """
        metrics = MetricsWriter(self._setting.run_folder, resumed_at=self.counts.step) \
            if self._ranks.is_first else None
        try:
            with _caught_signals() as caught:
                return _Course(self, metrics, on_report, export, caught).follow()
        finally:
            if metrics is not None:
                metrics.close()

    def train_step(self) -> Tensor:
        """One optimizer step; returns the mean nats per target of the global batch."""
        step, run = self.counts.step, self.config.run
        torch.manual_seed(_dropout_seed(run.seed, step, self._ranks.rank))
        self.model.train()
        batch = self._windows.batch(step, self._rows)
        num_targets = int((batch.targets != NOT_SCORED).sum())
        (total_targets,) = self._ranks.sum(num_targets, device=self._setting.device)
        total_nats = torch.zeros((), device=self._setting.device)
        passes = list(_split(batch, run.windows_per_pass))
        for i, part in enumerate(passes):
            with self._no_sync(is_last=i == len(passes) - 1):
                nats = self._nats(part)
                # DDP takes the mean of gradients over ranks; ours is one sum over all targets.
                (nats * (self._ranks.world_size / total_targets)).backward()
            total_nats += nats.detach()
        self._update(self._rate())
        self.counts = replace(
            self.counts, step=step + 1, loss_tokens=self.counts.loss_tokens + int(total_targets)
        )
        return total_nats / total_targets

    def _nats(self, batch: WindowBatch) -> Tensor:
        device = self._setting.device
        tokens = torch.from_numpy(batch.tokens).to(device)
        targets = torch.from_numpy(batch.targets).to(device)
        visible = None if batch.visible is None else torch.from_numpy(batch.visible).to(device)
        with self.autocast():
            logits = self._network(tokens, num_latents=targets.shape[1], visible=visible)
        return F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=NOT_SCORED,
            reduction="sum",
        )

    def autocast(self) -> torch.autocast:
        """The precision of this run."""
        enabled = self._setting.precision == "bf16"
        return torch.autocast(self._setting.device.type, torch.bfloat16, enabled=enabled)

    def _no_sync(self, *, is_last: bool) -> object:
        is_distributed = isinstance(self._network, DistributedDataParallel)
        return nullcontext() if is_last or not is_distributed else self._network.no_sync()

    def _rate(self) -> float:
        return self.config.schedule.rate_at(self.counts.step)

    def _update(self, rate: float) -> None:
        limit = self.config.optimizer.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        if not torch.isfinite(norm):
            raise NonFiniteError(
                f"a gradient is not finite at step {self.counts.step + 1}",
                path=self._setting.run_folder,
                hint="Resume from the last saved step with lower rates, or another run.seed.",
            )
        self._optimizers.step(rate)
        self._optimizers.zero_grad()
        if self._averaged:
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self._averaged.values()),
                    [self.model.state_dict()[name] for name in self._averaged],
                    1.0 - self.config.run.ema_decay,
                )

    def validate(self) -> float:
        """Nats per event over the validation pieces, shared out among the ranks."""
        own = self.model.state_dict()
        if self._averaged:
            own = {name: tensor.clone() for name, tensor in own.items()}
            self.model.load_state_dict(self._averaged)
        self.model.eval()
        latents = self.config.windows.latents
        context = self.config.windows.context_at(self.counts.step)
        options = ScoringOptions(context=context, latents=latents, stride=latents)
        nats = num_events = 0.0
        for piece in self._validation[self._ranks.rank :: self._ranks.world_size]:
            with self.autocast():
                scores = score_piece(self.model, piece, options)
            nats, num_events = nats + float(scores.sum()), num_events + len(scores)
        if self._averaged:
            self.model.load_state_dict(own)
        nats, num_events = self._ranks.sum(nats, num_events, device=self._setting.device)
        return nats / num_events

    def save(self, seconds: float) -> None:
        """Save the state of this step, on the first rank."""
        self.counts = replace(self.counts, seconds=seconds)
        if not self._ranks.is_first:
            return
        state = SavedState(
            counts=self.counts,
            weights=self.model.state_dict(),
            optimizer=self._optimizers.state_tensors(),
            averaged=self._averaged,
        )
        save_state(self._setting.run_folder, state, keep=self.config.run.keep)

    @property
    def setting(self) -> LoopSetting:
        """Where this runs."""
        return self._setting


class _Course:
    """What happens between steps: reports, validation, saving, stopping."""

    def __init__(
        self,
        loop: TrainingLoop,
        metrics: MetricsWriter | None,
        on_report: ReportCallback,
        export: Callable[[float], str],
        caught: list[int],
    ) -> None:
        self._loop, self._metrics, self._caught = loop, metrics, caught
        self._on_report, self._export = on_report, export
        self._earlier_seconds = loop.counts.seconds
        self._begun = time.monotonic()
        self._nats: list[Tensor] = []
        self._mark = (self._begun, loop.counts.loss_tokens)

    def follow(self) -> TrainingReport:
        """Train until the end of the schedule, of the time, or a signal."""
        loop, run = self._loop, self._loop.config.run
        first_step = loop.counts.step
        while loop.counts.step < loop.config.schedule.max_steps:
            self._nats.append(loop.train_step())
            step = loop.counts.step
            signal_number, is_late = self._wish_to_stop()
            if signal_number:
                self._report(None)
                loop.save(self._seconds())
                raise StoppedBySignalError(
                    f"stopped at step {step}; the run is saved",
                    signal_number=signal_number,
                    hint=f"Go on with: train --resume --output {loop.setting.run_folder}",
                )
            if is_late:
                break
            if step % run.validate_every == 0:
                self._validate()
            elif step % run.log_every == 0:
                self._report(None)
            if step % run.checkpoint_every == 0:
                loop.save(self._seconds())
        if loop.counts.step > first_step and not _is_saved(loop):
            loop.save(self._seconds())
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
        return self._report(self._loop.validate())

    def _report(self, validation: float | None) -> TrainingReport:
        loop = self._loop
        train = float(torch.stack(self._nats).mean()) if self._nats else None
        if train is not None:
            (train,) = loop.setting.ranks.sum(train, device=loop.setting.device)
        if train is not None and not torch.isfinite(torch.tensor(train)):
            raise NonFiniteError(
                f"the loss is not finite at step {loop.counts.step}",
                path=loop.setting.run_folder,
                hint="Resume from the last saved step with lower rates, or another run.seed.",
            )
        now, (then, tokens_then) = time.monotonic(), self._mark
        rate = (loop.counts.loss_tokens - tokens_then) / max(now - then, 1e-9)
        is_first = loop.setting.ranks.is_first
        is_exported = validation is not None and is_first
        report = TrainingReport(
            run=str(loop.setting.run_folder),
            step=loop.counts.step,
            loss_tokens=loop.counts.loss_tokens,
            train_nats_per_event=train,
            validation_nats_per_event=validation,
            loss_tokens_per_second=rate if self._nats else 0.0,
            learning_rate=loop.config.schedule.rate_at(loop.counts.step),
            context=loop.config.windows.context_at(loop.counts.step),
            seconds=self._seconds(),
            checkpoint=self._export(validation) if is_exported and validation else None,
        )
        if self._metrics is not None:
            self._metrics.write(report)
            self._on_report(report)
        self._nats = []
        self._mark = (time.monotonic(), loop.counts.loss_tokens)
        return report


def _is_saved(loop: TrainingLoop) -> bool:
    return loop.counts.step % loop.config.run.checkpoint_every == 0


def _validation_pieces(store: TokenStore, num_events: int) -> list[object]:
    """Whole pieces from the start of the validation split, up to `num_events`, one at least."""
    pieces: list[object] = []
    total = 0
    for piece in store.split("validation"):
        if pieces and total + piece.num_tokens + 1 > num_events:
            break
        pieces.append(with_bos_eos(store.ids(piece)))
        total += piece.num_tokens + 1
    return pieces


def _split(batch: WindowBatch, size: int) -> Iterator[WindowBatch]:
    for start in range(0, len(batch.tokens), size):
        part = slice(start, start + size)
        visible = None if batch.visible is None else batch.visible[part]
        yield WindowBatch(batch.tokens[part], visible, batch.targets[part])


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step) * 1_009 + rank


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one kills as usual."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT
                      else signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
