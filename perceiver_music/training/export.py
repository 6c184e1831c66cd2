"""The checkpoint of a run: the best weights on validation, ready to use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from perceiver_music import __version__
from perceiver_music.dataset.store_index import SPLITS
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import PerceiverMusicError
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.checkpoint_description import verify_checkpoint
from perceiver_music.model.model_card import model_card
from perceiver_music.training.loop import TrainingLoop
from perceiver_music.training.metrics import TrainingReport

CHECKPOINT_FOLDER: Final = "checkpoint"


class BestCheckpoint:
    """Writes the checkpoint of a run whenever validation is the best so far."""

    def __init__(
        self, loop: TrainingLoop, store: TokenStore, warn: Callable[[str], None] = lambda text: None
    ) -> None:
        self._loop, self._store = loop, store
        self._folder = loop.setting.run_folder / CHECKPOINT_FOLDER
        self._best = self._best_so_far(warn)

    def _best_so_far(self, warn: Callable[[str], None]) -> float:
        if not self._folder.exists():
            return float("inf")
        try:
            best = verify_checkpoint(self._folder).metrics.get("validation_nats_per_event")
        except PerceiverMusicError as error:
            warn(f"{error}; the next validation makes another")
            return float("inf")
        return float("inf") if best is None else float(best)

    def __call__(self, report: TrainingReport) -> str:
        nats = report.validation_nats_per_event
        if nats is None or nats <= self._best:
            self._best = self._best if nats is None else nats
            self._write(report)
        return str(self._folder)

    def _write(self, report: TrainingReport) -> None:
        model, store = self._loop.model, self._store
        details = {
            "version": __version__,
            "recipe": dataclasses.asdict(self._loop.config),
            "data": {
                "name": store.path.stem,
                "sha256": store.sha256,
                "events": {
                    split: sum(piece.num_tokens for piece in store.split(split)) for split in SPLITS
                },
            },
            "metrics": {
                "step": report.step,
                "loss_tokens": report.loss_tokens,
                "train_seconds": report.seconds,
                "train_nats_per_event": report.train_nats_per_event,
                "validation_nats_per_event": report.validation_nats_per_event,
            },
            "licence": self._loop.config.run.licence,
        }
        if self._loop.counts.teachers_sha256:
            details["teachers_sha256"] = list(self._loop.counts.teachers_sha256)
        name = f"{self._loop.setting.run_folder.name}-{report.step}"
        # A run's windows may not have grown yet to what the model is meant for.
        trained = self._loop.config.windows.longest_before(report.step)
        context = max(model.latents, min(model.context, trained))
        save_checkpoint(
            self._folder,
            model,
            name=name,
            tokenizer_name=store.tokenizer_name,
            details=details,
            card=model_card(name, model, details, context=context),
            weights=self._loop.weights,
            context=context,
            overwrite=True,
        )
