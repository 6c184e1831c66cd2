"""Learning from other models' predictions besides what was played (Hinton et al. 2015,
arXiv 1503.02531).

A prediction says how likely everything else would have been, too, so it teaches more than the one
event that came; and what several models agree on depends less on the chances of one training.
Each pass asks one teacher, drawn: over many passes the student learns the mean of all, which scores
better than any of them, for the price of one. A teacher may be shown the window in another key and
its answer be moved back, which makes a mean over keys of it in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perceiver_music.dataset.windows import NOT_SCORED
from perceiver_music.errors import InvalidInputError
from perceiver_music.model.base import SequenceModel
from perceiver_music.music.performance import HIGHEST_PIANO_PITCH, LOWEST_PIANO_PITCH
from perceiver_music.tokenizer.vocabulary import NOTE_OFF, TIME_SHIFT
from perceiver_music.training.config import DistillationConfig, TrainingConfig
from perceiver_music.training.origins import Origin

if TYPE_CHECKING:
    from perceiver_music.tokenizer.base import Tokenizer

_NUM_PITCHES = NOTE_OFF


class Teachers:
    """Models in evaluation mode, one of which answers at a time.

    Args:
        models: one at least; all have the student's vocabulary.
        config: of the distillation.
        origins: their checkpoints.
    """

    def __init__(
        self,
        models: Sequence[SequenceModel],
        config: DistillationConfig,
        origins: Sequence[Origin] = (),
    ) -> None:
        self.models, self.config, self.origins = tuple(models), config, tuple(origins)

    @property
    def sha256s(self) -> tuple[str, ...]:
        """Checksums of their checkpoints."""
        return tuple(origin.sha256 for origin in self.origins)

    @torch.no_grad()
    def predictions(
        self,
        tokens: Int[Tensor, "windows context"],
        visible: Bool[Tensor, "windows context"] | None,
        *,
        num_latents: int,
        rng: np.random.Generator,
    ) -> Float[Tensor, "windows latents vocabulary"]:
        """Probabilities of what follows each of the last positions, by one teacher.

        Args:
            tokens: what the student sees; a teacher sees as much of its end as it was trained on.
            visible: as in `SequenceModel.forward`.
            num_latents: positions that predict.
            rng: draws the teacher, and for each window the key.
        """
        model = self.models[rng.integers(len(self.models))]
        semitones = _fitting_semitones(tokens, rng.random(len(tokens)), self.config.transpose)
        seen = (tokens + semitones[:, None] * (tokens < TIME_SHIFT))[:, -model.context :]
        if visible is not None:
            visible = visible[:, -model.context :]
        probabilities = model(seen, num_latents=num_latents, visible=visible).float().softmax(-1)
        return _moved_back(probabilities, semitones)


def _fitting_semitones(
    tokens: Int[Tensor, "windows context"], draws: Float[np.ndarray, " windows"], most: int
) -> Int[Tensor, " windows"]:
    """How far each window moves, evenly among the ways that leave all of it on the piano."""
    is_pitch = tokens < TIME_SHIFT
    pitches = tokens % _NUM_PITCHES
    lowest = torch.where(is_pitch, pitches, HIGHEST_PIANO_PITCH).amin(dim=1)
    highest = torch.where(is_pitch, pitches, LOWEST_PIANO_PITCH).amax(dim=1)
    down = (lowest - LOWEST_PIANO_PITCH).clamp(0, most)
    up = (HIGHEST_PIANO_PITCH - highest).clamp(0, most)
    # What each draw means among 1, 2, ... ways is told on the CPU: MPS has no float64, and to ask
    # a GPU how many there are would have it wait.
    choices = (draws[:, None] * np.arange(1, 2 * most + 2)).astype(np.int64)
    chosen = torch.from_numpy(choices).to(tokens.device).gather(1, (down + up)[:, None])
    return chosen[:, 0] - down


def _moved_back(
    probabilities: Float[Tensor, "windows latents vocabulary"], semitones: Int[Tensor, " windows"]
) -> Float[Tensor, "windows latents vocabulary"]:
    """What was said of music `semitones` higher, of the music as it is.

    Pitches that the move pushes over an end of MIDI's range come in at the other: so all adds up to
    one, and what no piano can play is as unlikely there as here.
    """
    ids = torch.arange(probabilities.shape[-1], device=probabilities.device)
    is_pitch = ids < TIME_SHIFT
    kind = ids - ids % _NUM_PITCHES
    moved = kind + (ids + semitones[:, None]) % _NUM_PITCHES
    source = torch.where(is_pitch, moved, ids)
    return probabilities.gather(-1, source[:, None].expand_as(probabilities))


def summed_losses(
    logits: Float[Tensor, "windows latents vocabulary"],
    targets: Int[Tensor, "windows latents"],
    taught: Float[Tensor, "windows latents vocabulary"] | None,
    share: float,
) -> tuple[Tensor, Tensor]:
    """What training lowers, and the nats of the music itself, each summed over all targets.

    Args:
        logits: the student's.
        targets: what was played; NOT_SCORED where nothing counts.
        taught: the teacher's probabilities; None where there is none, and both sums are the same.
        share: of the teacher's in the first sum.
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    nats = torch.nn.functional.nll_loss(
        log_probabilities.flatten(0, 1),
        targets.flatten(),
        ignore_index=NOT_SCORED,
        reduction="sum",
    )
    if taught is None:
        return nats, nats
    crossed = -(taught * log_probabilities).sum(dim=-1)
    crossed_nats = crossed.masked_fill(targets == NOT_SCORED, 0.0).sum()
    return share * crossed_nats + (1.0 - share) * nats, nats


def teacher_folders(names: Iterable[str], before: Mapping[str, Path]) -> dict[str, Path]:
    """Where the teachers lie, by the names that a run calls them.

    Args:
        names: checkpoints, by name or by a path as seen from the working folder.
        before: where the run found them when it began, perhaps in another working folder.

    Raises:
        StorageError, InvalidInputError: there is no such checkpoint.
    """
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

    known = {name: folder for name, folder in before.items() if folder.is_dir()}
    return {name: known.get(name) or resolve_checkpoint(name).resolve() for name in names}


def load_teachers(
    config: TrainingConfig,
    folders: Mapping[str, Path],
    tokenizer: Tokenizer,
    device: torch.device,
) -> Teachers | None:
    """The teachers of a run, on the device; None when it has none.

    Raises:
        StorageError, InvalidInputError: a checkpoint is damaged, speaks another tokenizer's ids, or
            predicts fewer positions than the windows have latents.
    """
    from perceiver_music.model.checkpoint import load_checkpoint

    if not config.distillation.teachers:
        return None
    models, origins = [], []
    for name in config.distillation.teachers:
        loaded = load_checkpoint(folders[name], device)
        described = loaded.description
        if described.tokenizer_name != tokenizer.name:
            raise InvalidInputError(
                f"the teacher speaks {described.tokenizer_name}, and the store {tokenizer.name}",
                path=described.path,
                hint="Learn from a checkpoint of the same tokenizer.",
            )
        if loaded.model.latents < config.windows.latents:
            raise InvalidInputError(
                f"the teacher was trained to predict {loaded.model.latents} positions, "
                f"and the windows have {config.windows.latents}",
                path=described.path,
                hint=f"Set windows.latents={loaded.model.latents}, or take another teacher.",
            )
        models.append(loaded.model)
        origins.append(Origin.of(described))
    return Teachers(models, config.distillation, origins)
