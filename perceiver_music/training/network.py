"""The network of a run: a preset with settings, or what a checkpoint holds, to be trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perceiver_music.errors import InvalidInputError
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import (
    build_from_config,
    build_from_preset,
    config_as_dict,
    name_of,
)
from perceiver_music.training.config import ModelChoice, TrainingConfig

if TYPE_CHECKING:
    from perceiver_music.model.checkpoint import LoadedCheckpoint
    from perceiver_music.tokenizer.base import Tokenizer


def fresh_network(choice: ModelChoice, tokenizer: Tokenizer) -> SequenceModel:
    """The network that a recipe asks for, with first weights.

    Raises:
        InvalidInputError: its settings do not fit.
    """
    if choice.config is not None:
        return build_from_config(choice.architecture, choice.config)
    fields = {**choice.settings, "vocabulary_size": tokenizer.vocabulary_size}
    if choice.counts_events:
        fields["events"] = dict(tokenizer.event_layout)
    return build_from_preset(choice.architecture, choice.preset, fields)


def going_on_from(
    loaded: LoadedCheckpoint, config: TrainingConfig, tokenizer: Tokenizer
) -> tuple[TrainingConfig, SequenceModel]:
    """A run that starts from a checkpoint: its recipe, in which the model is the checkpoint's.

    A model meant for shorter windows than the run has grows its context to theirs; of the recipe's
    own model only the dropout counts, where it says one.

    Raises:
        InvalidInputError: the checkpoint speaks another tokenizer's ids, or the dropout is none.
    """
    if loaded.description.tokenizer_name != tokenizer.name:
        raise InvalidInputError(
            f"speaks {loaded.description.tokenizer_name}, and the store {tokenizer.name}",
            path=loaded.description.path,
            hint="Preprocess the music with the checkpoint's tokenizer.",
        )
    architecture = name_of(loaded.model)
    fields = config_as_dict(loaded.model)
    longest_window = max(length for _, length in config.windows.contexts)
    fields["context"] = max(fields["context"], longest_window)
    fields["block"] = {**fields["block"], **_dropout_of(config.model.settings.get("block"))}
    model = build_from_config(architecture, fields)
    model.load_state_dict(loaded.model.state_dict())
    choice = ModelChoice(architecture=architecture, config=fields)
    return replace(config, model=choice), model


def _dropout_of(block: Any) -> dict[str, float]:
    """The dropout that a recipe's block says, if it does; the rest, whatever it is, is not used."""
    if not isinstance(block, dict) or "dropout" not in block:
        return {}
    dropout = block["dropout"]
    if not isinstance(dropout, int | float) or not 0.0 <= dropout < 1.0:
        raise InvalidInputError(
            f"the recipe's model.settings.block.dropout is {dropout!r}",
            hint="A share from 0 to below 1.",
        )
    return {"dropout": float(dropout)}
