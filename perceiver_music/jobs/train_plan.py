"""What `train` is to do: its recipe, first weights and teachers, new or those of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.jobs.train_settings import DEFAULT_GPU_RECIPE, DEFAULT_RECIPE
from perceiver_music.training.run_file import RUN_FILE, read_run_file

if TYPE_CHECKING:
    import torch

    from perceiver_music.dataset.token_store import TokenStore
    from perceiver_music.model.base import SequenceModel
    from perceiver_music.model.checkpoint import LoadedCheckpoint
    from perceiver_music.tokenizer.base import Tokenizer
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
    from perceiver_music.training.distillation import teacher_folders
    from perceiver_music.training.recipes import load_recipe

    tokenizer = get_tokenizer(store.tokenizer_name)
    if request.resume:
        return _going_on(request, run_folder, tokenizer)
    recipe = request.recipe or default_recipe(device)
    load = partial(load_recipe, recipe)
    if request.init is not None:
        return _started_from(request, request.init, load(request.all_settings), tokenizer)
    config = _fitting(load, request.all_settings, tokenizer, recipe)
    teachers = teacher_folders(config.distillation.teachers, {})
    return TrainPlan(config=config, started_from=None, teacher_folders=teachers)


def _going_on(request: TrainRequest, run_folder: Path, tokenizer: Tokenizer) -> TrainPlan:
    """A run that was begun, with settings for the rest of it."""
    from perceiver_music.training.distillation import teacher_folders
    from perceiver_music.training.recipes import configured

    run_file = read_run_file(run_folder)
    where = os.fspath(run_folder / RUN_FILE)
    load = partial(configured, run_file.recipe, where=where)
    begun, config = load(()), load(request.all_settings)
    _refuse_another_run(begun, config)
    _refuse_idle(config, request.settings)
    # All that could make the model unfit; one that was begun unfit may go on.
    if config.windows.contexts != begun.windows.contexts:
        _refuse_longer_windows(config, tokenizer, where)
    teachers = teacher_folders(config.distillation.teachers, run_file.teacher_folders)
    return TrainPlan(config=config, started_from=run_file.started_from, teacher_folders=teachers)


def _refuse_another_run(begun: TrainingConfig, config: TrainingConfig) -> None:
    """What decides which run it is cannot change, in whatever words it is set."""
    for key in _FIXED_ON_RESUME:
        if attrgetter(key)(config) != attrgetter(key)(begun):
            raise UsageError(
                f"{key} cannot change in a run that goes on",
                hint="Leave it out, or begin another run; --init takes this one's weights.",
            )


def _refuse_longer_windows(config: TrainingConfig, tokenizer: Tokenizer, where: str) -> None:
    from perceiver_music.training.network import check_windows, context_of
    from perceiver_music.training.recipes import SET

    context = context_of(config.model, tokenizer, where)
    try:
        check_windows(config, context, SET, is_fixed=True)
    except InvalidInputError as error:
        raise UsageError(str(error), hint=error.hint) from None


def _started_from(
    request: TrainRequest, init: str, config: TrainingConfig, tokenizer: Tokenizer
) -> TrainPlan:
    """A run that starts with a checkpoint's weights."""
    from perceiver_music.training.distillation import teacher_folders
    from perceiver_music.training.network import going_on_from
    from perceiver_music.training.origins import Origin

    _refuse_idle(config, request.settings)
    teachers = teacher_folders(config.distillation.teachers, {})
    loaded = _initial(request, init)
    _check_dropout(request, config)
    config, model = going_on_from(loaded, config, tokenizer)
    return TrainPlan(
        config=config,
        started_from=Origin.of(loaded.description),
        model=model,
        teacher_folders=teachers,
    )


def _check_dropout(request: TrainRequest, config: TrainingConfig) -> None:
    """Of all that can be wrong with a checkpoint's model only the dropout is a setting."""
    from perceiver_music.training.network import dropout_of

    try:
        dropout_of(config.model)
    except InvalidInputError as error:
        if any(_key_of(setting) == _DROPOUT for setting in request.settings):
            raise UsageError(str(error), hint=error.hint) from None
        raise


def _fitting(
    load: Callable[[tuple[str, ...]], TrainingConfig],
    settings: tuple[str, ...],
    tokenizer: Tokenizer,
    where: str,
) -> TrainingConfig:
    """A recipe with settings, whose network can be built.

    Raises:
        UsageError: it cannot, because of a setting.
        InvalidInputError: it cannot without the settings, either.
    """
    from perceiver_music.training.network import check_network
    from perceiver_music.training.recipes import SET

    config = load(settings)
    if not config.model.settings and config.model.config is None:
        raise UsageError(
            f"the recipe {where} has no model of its own",
            hint="Add --init CHECKPOINT, such as --init maestro, for the model to go on with.",
        )
    _refuse_idle(config, settings)
    try:
        check_network(config, tokenizer, SET if settings else where)
    except InvalidInputError as error:
        if not settings:
            raise
        check_network(load(()), tokenizer, where)
        raise UsageError(str(error), hint=error.hint) from None
    return config


def _refuse_idle(config: TrainingConfig, settings: tuple[str, ...]) -> None:
    """A setting that does nothing is a wrong experiment."""
    from perceiver_music.training.recipes import apply_settings

    given = apply_settings({}, settings).get("distillation")
    if config.distillation.teachers or not isinstance(given, dict):
        return
    for key in sorted(set(given) - {"teachers"}):
        raise UsageError(
            f"distillation.{key} does nothing without teachers",
            hint='Name them, --set distillation.teachers=["CHECKPOINT"], or leave it out.',
        )


def _key_of(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _initial(request: TrainRequest, name: str) -> LoadedCheckpoint:
    """The checkpoint to start from."""
    from perceiver_music.model.checkpoint import load_checkpoint
    from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

    for setting in request.settings:
        if (key := _key_of(setting)).startswith("model") and key != _DROPOUT:
            raise UsageError(
                f"{setting!r} cannot be set: the model is the checkpoint's, all but {_DROPOUT}",
                hint="Leave it out, or train from the start without --init.",
            )
    return load_checkpoint(resolve_checkpoint(name))


def default_recipe(device: torch.device) -> str:
    """The recipe for who names none."""
    return DEFAULT_GPU_RECIPE if device.type == "cuda" else DEFAULT_RECIPE
