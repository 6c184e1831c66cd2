"""The network of a run: a preset with settings, or what a checkpoint holds, to be trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import torch

from perceiver_music.errors import InvalidInputError
from perceiver_music.model.attention import BlockConfig
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import (
    architecture_of,
    build_from_config,
    build_from_preset,
    config_as_dict,
    name_of,
)
from perceiver_music.training.config import (
    ModelChoice,
    TrainingConfig,
    config_from_dict,
    typed_fields,
)

if TYPE_CHECKING:
    from perceiver_music.model.checkpoint import LoadedCheckpoint
    from perceiver_music.tokenizer.base import Tokenizer

_NOT_TO_BE_SET: Final = ("vocabulary_size", "events", "block")
"""What the tokenizer decides, and what has a section of its own."""


def check_network(config: TrainingConfig, tokenizer: Tokenizer, where: str) -> None:
    """Refuse a network that cannot be built, or that is meant for less than its windows.

    Args:
        config: whose it is.
        tokenizer: whose ids it is to speak.
        where: where it was asked for, for messages.

    Raises:
        InvalidInputError: a setting is unknown, of the wrong type, or does not fit the others.
    """
    choice = config.model
    if choice.config is None:
        _check_settings(choice, where)
    else:
        config_from_dict(
            architecture_of(choice.architecture).config, choice.config, where, "model.config"
        )
    check_windows(config, context_of(choice, tokenizer, where), where)


def context_of(choice: ModelChoice, tokenizer: Tokenizer, where: str) -> int:
    """The context that a network is meant for.

    Raises:
        InvalidInputError: it cannot be built.
    """
    try:
        with torch.device("meta"):
            return fresh_network(choice, tokenizer).context
    except RuntimeError:  # more than can be counted
        raise InvalidInputError("the model is too large", path=where) from None
    except InvalidInputError as error:
        raise InvalidInputError(error.message, path=where, hint=error.hint) from None


def check_windows(
    config: TrainingConfig, context: int, where: str, *, is_fixed: bool = False
) -> None:
    """Refuse windows that are longer than what the network is meant for.

    Args:
        config: has the windows.
        context: of the network.
        where: where they were asked for, for messages.
        is_fixed: whether the network stands already, as that of a run that goes on.

    Raises:
        InvalidInputError: a window is longer.
    """
    longest_window = max(length for _, length in config.windows.contexts)
    if longest_window <= context:
        return
    hint = f"Set model.settings.context={longest_window}, or take shorter windows."
    if is_fixed:
        hint = f"Take windows of up to {context}: the model of a run that goes on stays as it is."
    raise InvalidInputError(
        f"windows.contexts has windows of {longest_window:,} events, and the context of the "
        f"model is {context:,}",
        path=where,
        hint=hint,
    )


def _check_settings(choice: ModelChoice, where: str) -> None:
    hints = get_type_hints(architecture_of(choice.architecture).config)
    if choice.counts_events and "events" not in hints:
        raise InvalidInputError(
            f"{choice.architecture} counts no events", path=f"{where}: model.counts_events"
        )
    block = get_type_hints(BlockConfig)
    of_the_preset = {name: block[name] for name in ("width", "num_heads")}
    known = {name: hint for name, hint in hints.items() if name not in _NOT_TO_BE_SET}
    known |= {**of_the_preset, "block": dict[str, Any]}
    settings = typed_fields(known, choice.settings, where, "model.settings")
    typed_fields(block, settings.get("block", {}), where, "model.settings.block")
    for name in of_the_preset:
        if name not in settings:
            raise InvalidInputError(f"model.settings.{name} is not given", path=where)


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
    fields["block"] = {**fields["block"], **dropout_of(config.model)}
    model = build_from_config(architecture, fields)
    model.load_state_dict(loaded.model.state_dict())
    choice = ModelChoice(architecture=architecture, config=fields)
    return replace(config, model=choice), model


def dropout_of(choice: ModelChoice) -> dict[str, float]:
    """The dropout that a recipe's block says, if it does; the rest, whatever it is, is not used.

    Raises:
        InvalidInputError: it is none.
    """
    block = choice.settings.get("block")
    if not isinstance(block, dict) or "dropout" not in block:
        return {}
    dropout = block["dropout"]
    if not isinstance(dropout, int | float) or not 0.0 <= dropout < 1.0:
        raise InvalidInputError(
            f"the recipe's model.settings.block.dropout is {dropout!r}",
            hint="A share from 0 to below 1.",
        )
    return {"dropout": float(dropout)}
