"""The checkpoint of a run: the best weights on validation, ready to use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from perceiver_music import __version__
from perceiver_music.dataset.store_index import SPLITS
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import PerceiverMusicError
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.checkpoint_description import verify_checkpoint
from perceiver_music.model.model_card import model_card
from perceiver_music.training.loop import TrainingLoop
from perceiver_music.training.metrics import TrainingReport
from perceiver_music.training.origins import Origin, licence_after

CHECKPOINT_FOLDER: Final = "checkpoint"


class BestCheckpoint:
    """Writes the checkpoint of a run whenever validation is the best so far.

    Args:
        loop: the run.
        store: what it is trained on.
        started_from: the checkpoint whose weights were the first; None for random ones.
        warn: told of a checkpoint that is there and damaged.
    """

    def __init__(
        self,
        loop: TrainingLoop,
        store: TokenStore,
        started_from: Origin | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._loop, self._store, self._started_from = loop, store, started_from
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
            "recipe": self._recipe(),
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
            **self._origins(),
        }
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

    @property
    def _teachers(self) -> tuple[Origin, ...]:
        teachers = self._loop.setting.teachers
        return () if teachers is None else teachers.origins

    def _recipe(self) -> dict[str, Any]:
        """The recipe, without where the teachers lie on this machine."""
        config = self._loop.config
        names = config.distillation.teachers
        told = tuple(
            origin.name if Path(name).is_absolute() else name
            for name, origin in zip(names, self._teachers, strict=True)
        )
        distillation = dataclasses.replace(config.distillation, teachers=told)
        return dataclasses.asdict(dataclasses.replace(config, distillation=distillation))

    def _origins(self) -> dict[str, Any]:
        """What the weights are made of, and their licence after it."""
        start, teachers = self._started_from, self._teachers
        sources = (*(() if start is None else (start,)), *teachers)
        fields: dict[str, Any] = {"licence": licence_after(self._loop.config.run.licence, sources)}
        if start is not None:
            fields["started_from"] = start.as_json()
        if teachers:
            fields["teachers"] = [teacher.as_json() for teacher in teachers]
            fields["teachers_sha256"] = [teacher.sha256 for teacher in teachers]
        return fields
