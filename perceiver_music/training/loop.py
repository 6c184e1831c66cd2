"""Training steps over windows, validation, and the state that goes on exactly.

Everything random is a pure function of (seed, step, rank), so a run that stopped goes on bit for
bit. The loss is the mean over all targets of the global batch, whoever holds them, so several
processes compute what one would.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import NOT_SCORED, WindowBatch
from perceiver_music.errors import NonFiniteError
from perceiver_music.evaluation.likelihood import ScoringOptions
from perceiver_music.model.attention import CausalBlock
from perceiver_music.model.base import SequenceModel
from perceiver_music.training.config import TrainingConfig
from perceiver_music.training.distillation import Teachers, summed_losses
from perceiver_music.training.distributed import Ranks
from perceiver_music.training.feed import window_batches
from perceiver_music.training.optimizer import Optimizers
from perceiver_music.training.run_state import RunCounts, SavedState, save_state
from perceiver_music.training.validation import ValidationStopped, score_pieces, validation_pieces


@dataclass(frozen=True, kw_only=True)
class LoopSetting:
    """Where and on what a loop runs.

    Attributes:
        run_folder: for states and metrics.
        device: of the model.
        precision: `fp32`, or `bf16` for autocast over float32 weights.
        teachers: whose predictions are learned; None for nobody's.
        max_minutes: stop, saved, after this long; None for no limit.
    """

    run_folder: Path
    device: torch.device
    precision: str
    ranks: Ranks
    teachers: Teachers | None = None
    max_minutes: float | None = None


class TrainingLoop:
    """One run between two of its saved states; `course.follow` decides when what is done."""

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
        self._validation = validation_pieces(store, config.run.validation_events)
        self._optimizers = Optimizers(model, config.optimizer, self._ranks)
        self._averaged: dict[str, Tensor] = {}
        self.unreported_nats: list[Tensor] = []
        self.counts = RunCounts(
            num_threads=torch.get_num_threads(),
            precision=setting.precision,
            world_size=self._ranks.world_size,
            data_sha256=store.sha256,
            teachers_sha256=setting.teachers.sha256s if setting.teachers else (),
        )
        if resumed is not None:
            self._restore(resumed)
        elif config.run.ema_decay:
            self._averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self._batches = window_batches(
            store,
            config.windows,
            seed=config.run.seed,
            rows=self._ranks.rows(config.windows.windows_per_step),
            steps=range(self.counts.step, config.schedule.max_steps),
            workers=config.run.data_workers,
        )
        self._replicas = self._replicate()
        self._network: nn.Module = self._replicas or model
        if config.run.compile:
            _compile_blocks(model, *(setting.teachers.models if setting.teachers else ()))

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
            is_step_open=saved.counts.is_step_open,
        )
        by_rank = saved.counts.unreported_nats
        if len(by_rank) == self._ranks.world_size:
            own = by_rank[self._ranks.rank]
        else:  # another number of processes: the first takes all
            own = tuple(map(sum, zip(*by_rank, strict=True))) if self._ranks.is_first else ()
        self.unreported_nats = list(torch.tensor(own, dtype=torch.float32, device=device))

    def _replicate(self) -> DistributedDataParallel | None:
        if self._ranks.world_size == 1:
            return None
        devices = [self._ranks.local_rank] if self._setting.device.type == "cuda" else None
        return DistributedDataParallel(self.model, device_ids=devices)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights to use: averaged ones where the run keeps them."""
        return self._averaged or self.model.state_dict()

    def train_step(self) -> Tensor:
        """One optimizer step; returns the mean nats per target of the global batch."""
        step, run = self.counts.step, self.config.run
        seed = _seed_of_step(run.seed, step, self._ranks.rank)
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.model.train()
        batch = next(self._batches)
        num_targets = int((batch.targets != NOT_SCORED).sum())
        (total_targets,) = self._ranks.sum(num_targets, device=self._setting.device)
        total_nats = torch.zeros((), device=self._setting.device)
        passes = list(batch.parts(run.windows_per_pass))
        for i, part in enumerate(passes):
            with self._no_sync(is_last=i == len(passes) - 1):
                loss, nats = self._losses(part, rng)
                # DDP takes the mean of gradients over ranks; ours is one sum over all targets.
                (loss * (self._ranks.world_size / total_targets)).backward()
            total_nats += nats.detach()
        self._update(self.config.schedule.rate_at(step), total_nats)
        self.counts = replace(
            self.counts,
            step=step + 1,
            loss_tokens=self.counts.loss_tokens + int(total_targets),
            is_step_open=False,
        )
        self.unreported_nats.append(total_nats / total_targets)
        return self.unreported_nats[-1]

    def _losses(self, batch: WindowBatch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What is lowered, and the nats of the music: the same without teachers."""
        device, teachers = self._setting.device, self._setting.teachers
        tokens = torch.from_numpy(batch.tokens).to(device).long()
        targets = torch.from_numpy(batch.targets).to(device).long()
        visible = None if batch.visible is None else torch.from_numpy(batch.visible).to(device)
        num_latents, taught = targets.shape[1], None
        with self.autocast():
            if teachers is not None:
                taught = teachers.predictions(tokens, visible, num_latents=num_latents, rng=rng)
            logits = self._network(tokens, num_latents=num_latents, visible=visible)
        return summed_losses(logits, targets, taught, self.config.distillation.share)

    def autocast(self) -> torch.autocast:
        """The precision of this run."""
        enabled = self._setting.precision == "bf16"
        return torch.autocast(self._setting.device.type, torch.bfloat16, enabled=enabled)

    def _no_sync(self, *, is_last: bool) -> AbstractContextManager[None]:
        if is_last or self._replicas is None:
            return nullcontext()
        return self._replicas.no_sync()

    def _update(self, rate: float, loss: Tensor) -> None:
        limit = self.config.optimizer.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        self._refuse_non_finite("the loss or a gradient", norm + loss, step=self.counts.step + 1)
        self._optimizers.step(rate)
        self._optimizers.zero_grad()
        if self._averaged:
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self._averaged.values()),
                    [self.model.state_dict()[name] for name in self._averaged],
                    1.0 - self.config.run.ema_decay,
                )

    def check_weights(self, *others: Tensor) -> None:
        """Look at all that is about to be saved.

        Raises:
            NonFiniteError: a number of it is not finite.
        """
        weights = (*self.model.state_dict().values(), *self._averaged.values(), *others)
        self._refuse_non_finite("a weight", *weights, step=self.counts.step)

    def _refuse_non_finite(self, what: str, *tensors: Tensor, step: int) -> None:
        """Stop on all ranks when a number is not finite on any of them."""
        is_bad = not all(bool(tensor.isfinite().all()) for tensor in tensors)
        if self._ranks.sum(float(is_bad), device=self._setting.device)[0]:
            raise NonFiniteError(
                f"{what} is not finite at step {step}",
                path=self._setting.run_folder,
                hint="Resume from the last saved step with lower rates, or another run.seed.",
            )

    def validate(self, should_stop: Callable[[], bool] = lambda: False) -> float | None:
        """Nats per event over the validation pieces; None when the store has none.

        Args:
            should_stop: asked before each pass over the network.

        Raises:
            ValidationStopped: it said so, on this rank or another.
        """
        if not self._validation:
            return None
        own = self.model.state_dict()
        if self._averaged:
            own = {name: tensor.clone() for name, tensor in own.items()}
            self.model.load_state_dict(self._averaged)
        self.model.eval()
        windows = self.config.windows
        latents, context = windows.latents, windows.context_at(self.counts.step)
        options = ScoringOptions(context=context, latents=latents, stride=latents)
        pieces = self._validation[self._ranks.rank :: self._ranks.world_size]
        try:
            with self.autocast():
                totals = score_pieces(self.model, pieces, options, should_stop)
        finally:
            if self._averaged:
                self.model.load_state_dict(own)
        nats, num_events, stopped = self._ranks.sum(*totals, device=self._setting.device)
        if stopped:
            raise ValidationStopped
        return nats / num_events

    def save(self, seconds: float, *, is_step_open: bool = False) -> None:
        """Save the state of this step, on the first rank.

        Args:
            seconds: time spent training.
            is_step_open: what is due after this step is still to be done.

        Raises:
            NonFiniteError: a number that would be saved is not finite.
            StorageError: it cannot be written.
        """
        own = [float(nats) for nats in self.unreported_nats]
        by_rank = self._ranks.gather(own, device=self._setting.device)
        counts = replace(
            self.counts,
            seconds=seconds,
            is_step_open=is_step_open,
            unreported_nats=tuple(map(tuple, by_rank)),
        )
        optimizer = self._optimizers.state_tensors()
        self.check_weights(*optimizer.values())
        if not self._ranks.is_first:
            return
        state = SavedState(
            counts=counts,
            weights=self.model.state_dict(),
            optimizer=optimizer,
            averaged=self._averaged,
        )
        save_state(self._setting.run_folder, state, keep=self.config.run.keep)

    def close(self) -> None:
        """End what makes windows ahead; there are no more steps."""
        self._batches.close()

    @property
    def setting(self) -> LoopSetting:
        """Where this runs."""
        return self._setting


def _compile_blocks(*models: nn.Module) -> None:
    """Compile what every layer does, once for all of them.

    The layers do their work on latents, whose number stays the same when contexts grow, so nothing
    is compiled again then, as the whole network would be.
    """
    for module in itertools.chain.from_iterable(model.modules() for model in models):
        if isinstance(module, CausalBlock):
            module.compile()


def _seed_of_step(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step) * 1_009 + rank
