"""Name of an architecture -> its configuration and network.

A new model is one file, one row here, one recipe and one test; the contract tests run over all
rows. Configurations travel as plain JSON objects; unknown keys are refused by name.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from perceiver_music.errors import InvalidInputError
from perceiver_music.model.attention import BlockConfig
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.perceiver_ar import PerceiverAR, PerceiverARConfig
from perceiver_music.model.transformer import Transformer, TransformerConfig
from perceiver_music.model.transformer_xl import TransformerXL, TransformerXLConfig


@dataclass(frozen=True)
class Architecture:
    """A row of the registry."""

    config: type
    network: type[SequenceModel]
    presets: tuple[str, ...]


ARCHITECTURES: dict[str, Architecture] = {
    "perceiver_ar": Architecture(PerceiverARConfig, PerceiverAR, ("modern", "paper")),
    "transformer_xl": Architecture(TransformerXLConfig, TransformerXL, ("modern",)),
    "transformer": Architecture(TransformerConfig, Transformer, ("modern",)),
}


def architecture_of(name: str) -> Architecture:
    """The row of that name.

    Raises:
        InvalidInputError: there is none.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise InvalidInputError(
            f"there is no architecture {name!r}", hint=f"Known architectures: {known}."
        ) from None


def build_from_preset(name: str, preset: str, fields: dict[str, Any]) -> SequenceModel:
    """A freshly initialised model; block fields in `fields["block"]` override the preset's.

    Raises:
        InvalidInputError: unknown preset, unknown field, or values that do not fit together.
    """
    architecture = architecture_of(name)
    if preset not in architecture.presets:
        raise InvalidInputError(
            f"{name} has no preset {preset!r}",
            hint=f"Its presets: {', '.join(architecture.presets)}.",
        )
    try:
        fields = _with_layout(fields)
        block_fields = fields.pop("block", {})
        config = getattr(architecture.config, preset)(**fields)
        block = dataclasses.replace(config.block, **block_fields)
        config = dataclasses.replace(config, block=block)
        return architecture.network(config)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the model settings do not fit: {error}", hint="See the recipes for working ones."
        ) from None


def config_as_dict(model: SequenceModel) -> dict[str, Any]:
    """The configuration of a model as a JSON object."""
    return dataclasses.asdict(model.config)


def build_from_config(name: str, config: dict[str, Any]) -> SequenceModel:
    """The network that a saved configuration describes, with fresh weights.

    Raises:
        InvalidInputError: the configuration is not one of this architecture's.
    """
    architecture = architecture_of(name)
    try:
        fields = _with_layout(config)
        block = BlockConfig(**fields.pop("block"))
        return architecture.network(architecture.config(block=block, **fields))
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInputError(
            f"the configuration is not one of {name}: {error}",
            hint="The checkpoint may come from a newer version of perceiver-music.",
        ) from None


def _with_layout(fields: dict[str, Any]) -> dict[str, Any]:
    """A copy of the fields in which the layout of events is one, not a plain object."""
    layout = fields.get("events")
    return {**fields, "events": EventLayout(**layout)} if layout else dict(fields)


def name_of(model: SequenceModel) -> str:
    """The architecture's name of a model."""
    return next(n for n, row in ARCHITECTURES.items() if type(model) is row.network)
