"""Training windows made ahead of the steps that need them, by processes of their own.

A GPU's step takes less time than making its windows does, so one process that does both leaves the
GPU idle. What a step sees is a function of its number alone, so who makes it, and when, changes
nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perceiver_music.dataset.windows import TrainingWindows, WindowBatch, WindowConfig

if TYPE_CHECKING:
    from perceiver_music.dataset.token_store import TokenStore

_AHEAD_PER_WORKER = 2


class _Steps(Dataset[dict[str, Tensor]]):
    """The windows of each step, for the rows of one rank.

    They are set up where they are used: their caches do not travel between processes.
    """

    def __init__(self, store: TokenStore, config: WindowConfig, seed: int, rows: range) -> None:
        self._store, self._config, self._seed, self._rows = store, config, seed, rows
        self._windows: TrainingWindows | None = None

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if self._windows is None:
            self._windows = TrainingWindows(
                self._store, self._config, split="train", seed=self._seed
            )
        batch = self._windows.batch(step, self._rows)
        # Tensors go through shared memory; 16 bits hold every id.
        parts = {
            "tokens": torch.from_numpy(batch.tokens).to(torch.int16),
            "targets": torch.from_numpy(batch.targets).to(torch.int16),
        }
        if batch.visible is not None:
            parts["visible"] = torch.from_numpy(batch.visible)
        return parts


def window_batches(
    store: TokenStore, config: WindowConfig, *, seed: int, rows: range, steps: range, workers: int
) -> Generator[WindowBatch]:
    """The batches of these steps, in their order.

    Args:
        store: what they come from.
        config: what a step sees.
        seed: of the run.
        rows: which windows of each step.
        steps: which steps.
        workers: processes that make them ahead; with 0 each is made when it is asked for.

    Raises:
        ValueError: the store has nothing to train on.
        UsageError: gaps are wanted, and the store's tokenizer has no way to write them.
    """
    windows = TrainingWindows(store, config, split="train", seed=seed)
    if not workers:
        return (windows.batch(step, rows) for step in steps)
    return _made_ahead(_Steps(store, config, seed, rows), steps, workers)


def _made_ahead(dataset: _Steps, steps: range, workers: int) -> Generator[WindowBatch]:
    """Whoever closes it ends the workers."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=_AHEAD_PER_WORKER,
        worker_init_fn=_apart_from_the_parent,
    )
    ahead = iter(loader)
    try:
        for parts in ahead:
            yield _as_batch(parts)
    finally:
        del ahead


def _as_batch(parts: dict[str, Tensor]) -> WindowBatch:
    visible = parts.get("visible")
    return WindowBatch(
        tokens=parts["tokens"].numpy(),
        visible=None if visible is None else visible.numpy(),
        targets=parts["targets"].numpy(),
    )


def _apart_from_the_parent(_worker: int) -> None:
    """A signal to the run and its group is the run's: it saves first, and takes its workers along.

    What ends a worker stays what it is: the parent's exit terminates those that are left.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
