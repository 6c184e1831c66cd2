"""What `train` is to do: its recipe, first weights and teachers, new or those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perceiver_music.errors import UsageError
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.training.run_file import RUN_FILE, read_run_file

if TYPE_CHECKING:
    import torch

    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.model.base import SequenceModel
    from perceiver_music.model.checkpoint import LoadedCheckpoint
    from perceiver_music.training.config import TrainingConfig
    from perceiver_music.training.origins import Origin

_FIXED_ON_RESUME = ("model", "run.seed", "optimizer.kind")
_DROPOUT = "model.settings.block.dropout"


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """What is to be trained.

    Attributes:
        config: the recipe.
        started_from: the checkpoint whose weights are the first, when the run began with one.
        model: that one's, when the run begins now.
        teacher_folders: of each teacher that the recipe names.
    """

    config: TrainingConfig
    started_from: Origin | None
    model: SequenceModel | None = None
    teacher_folders: Mapping[str, Path]


def plan_of(
    request: TrainRequest, run_folder: Path, device: torch.device, store: TokenStore
) -> TrainPlan:
    """What a request comes to.

    Raises:
        UsageError: a setting is wrong, or cannot be set here.
        StorageError, InvalidInputError: a recipe, run or checkpoint cannot be used.
    """
    from perceiver_music.tokenizer.registry import get_tokenizer
    from perceiver_music.training.config import TrainingConfig
    from perceiver_music.training.distillation import teacher_folders
    from perceiver_music.training.network import going_on_from
    from perceiver_music.training.origins import Origin
    from perceiver_music.training.recipes import apply_settings, load_recipe

    if request.resume:
        run_file = read_run_file(run_folder)
        for setting in request.settings:
            if setting.split("=")[0].strip().startswith(_FIXED_ON_RESUME):
                raise UsageError(f"{setting!r} cannot change in a run that goes on")
        values = apply_settings(run_file.recipe, request.all_settings)
        config = TrainingConfig.from_dict(values, str(run_folder / RUN_FILE))
        teachers = teacher_folders(config.distillation.teachers, run_file.teacher_folders)
        return TrainPlan(
            config=config, started_from=run_file.started_from, teacher_folders=teachers
        )
    config = load_recipe(request.recipe or default_recipe(device), request.all_settings)
    teachers = teacher_folders(config.distillation.teachers, {})
    if request.init is None:
        return TrainPlan(config=config, started_from=None, teacher_folders=teachers)
    loaded = _initial(request, request.init)
    config, model = going_on_from(loaded, config, get_tokenizer(store.tokenizer_name))
    return TrainPlan(
        config=config,
        started_from=Origin.of(loaded.description),
        model=model,
        teacher_folders=teachers,
    )


def _initial(request: TrainRequest, name: str) -> LoadedCheckpoint:
    """The checkpoint to start from."""
    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

    for setting in request.settings:
        if (key := setting.partition("=")[0].strip()).startswith("model") and key != _DROPOUT:
            raise UsageError(
                f"{setting!r} cannot be set: the model is the checkpoint's, all but {_DROPOUT}",
                hint="Leave it out, or train from the start without --init.",
            )
    return load_checkpoint(resolve_checkpoint(name))


def default_recipe(device: torch.device) -> str:
    """The recipe for who names none."""
    return "gpu" if device.type == "cuda" else "laptop"
