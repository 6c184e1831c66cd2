"""What a run is: model, data windows, teachers, optimizer, schedule, housekeeping. No torch here.

Every key is checked: one that we do not know is refused by name, since a misspelt setting that is
ignored is a wrong experiment.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from perceiver_music.dataset.windows import WindowConfig
from perceiver_music.errors import InvalidInputError

Config = TypeVar("Config")
PRECISIONS: Final = ("auto", "fp32", "bf16")
_LARGEST_RATE = 100.0
_MOST_SEMITONES = 12


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Which network, with what sizes; `settings` go to the preset of the architecture.

    With `counts_events` the network is told which ids are which events, to count what they add up
    to (`model.event_state`). A run that goes on from a checkpoint has the whole configuration of
    that in `config`, in place of preset and settings.
    """

    architecture: str = "perceiver_ar"
    preset: str = "modern"
    counts_events: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer and its rates.

    Attributes:
        kind: `muon` uses Muon for the matrices and AdamW for the rest; `adamw` AdamW for all.
        matrix_rate: learning rate of the matrices inside the blocks.
        embedding_rate: of token, previous-token and value embeddings.
        output_rate: of the output layer, norms and biases.
        weight_decay: decoupled, on the matrices inside the blocks.
        betas: AdamW's.
        momentum: Muon's.
        clip_norm: global gradient norm above which gradients are scaled down; 0 for none.
    """

    kind: Literal["muon", "adamw"] = "muon"
    matrix_rate: float = 0.02
    embedding_rate: float = 0.1
    output_rate: float = 0.008
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.8, 0.95)
    momentum: float = 0.95
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("muon", "adamw"):
            raise ValueError(f"kind is 'muon' or 'adamw', not {self.kind!r}")
        rates = (self.matrix_rate, self.embedding_rate, self.output_rate)
        if not all(0.0 <= rate <= _LARGEST_RATE for rate in rates):
            raise ValueError(f"learning rates go from 0 to {_LARGEST_RATE:g}")
        if not all(0.0 <= share < 1.0 for share in (self.momentum, *self.betas)):
            raise ValueError("momentum and betas are shares below 1")
        if not all(0.0 <= value < float("inf") for value in (self.weight_decay, self.clip_norm)):
            raise ValueError("weight_decay and clip_norm are 0 or more")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Learning rate over time: warm-up, level, then linear or cosine decay to a last share."""

    max_steps: int = 1000
    warmup_steps: int = 40
    decay_share: float = 0.6
    decay: Literal["linear", "cosine"] = "linear"
    final_share: float = 0.0

    def __post_init__(self) -> None:
        if self.max_steps < 1 or self.warmup_steps < 0:
            raise ValueError("max_steps is 1 or more, warmup_steps 0 or more")
        if not (0.0 <= self.decay_share <= 1.0 and 0.0 <= self.final_share <= 1.0):
            raise ValueError("decay_share and final_share are shares")
        if self.decay not in ("linear", "cosine"):
            raise ValueError(f"decay is 'linear' or 'cosine', not {self.decay!r}")

    def rate_at(self, step: int) -> float:
        """Factor on every learning rate at a step."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        decay_steps = self.max_steps * self.decay_share
        left = (self.max_steps - step) / decay_steps if decay_steps else 1.0
        left = min(1.0, max(0.0, left))
        if self.decay == "cosine":
            left = 0.5 - 0.5 * math.cos(math.pi * left)
        return warm * (self.final_share + (1.0 - self.final_share) * left)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Seeds, precision, and how often what is written.

    Attributes:
        windows_per_pass: windows in one forward pass; a step accumulates as many as it needs.
        precision: `auto` is bf16 where the device is known to be fast at it.
        ema_decay: of the averaged weights that validation and the checkpoint use; 0 for none.
        validate_first: also before the first step: what a run goes on from stays the best until
            something better is found.
        validation_events: how many events of the validation split are scored, whole pieces.
        data_workers: processes that make windows ahead of a fast device; 0 for none.
        licence: of the weights, written into the checkpoint.
    """

    seed: int = 1
    windows_per_pass: int = 8
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    ema_decay: float = 0.0
    compile: bool = False
    log_every: int = 20
    validate_every: int = 500
    validate_first: bool = False
    validation_events: int = 100_000
    checkpoint_every: int = 200
    keep: int = 3
    data_workers: int = 0
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"a seed is from 0 to {2**31 - 1}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is auto, fp32 or bf16, not {self.precision!r}")
        counts = (self.windows_per_pass, self.log_every, self.validate_every)
        if min(*counts, self.checkpoint_every, self.keep) < 1:
            raise ValueError("windows_per_pass, *_every and keep are 1 or more")
        if self.data_workers < 0:
            raise ValueError("data_workers is 0 or more")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError("ema_decay is in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Models whose predictions are learned besides what was played; see `training.distillation`.

    Attributes:
        teachers: checkpoints, by name or folder; none to learn from the music alone.
        share: of the loss that is the teachers'; the music has the rest.
        transpose: semitones, at most, by which what a teacher is shown differs.
    """

    teachers: tuple[str, ...] = ()
    share: float = 0.7
    transpose: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError("share is above 0 and up to 1; without teachers nothing is theirs")
        if not 0 <= self.transpose <= _MOST_SEMITONES:
            raise ValueError(f"transpose is from 0 to {_MOST_SEMITONES} semitones")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One complete run."""

    name: str = "custom"
    model: ModelChoice = field(default_factory=ModelChoice)
    windows: WindowConfig = field(default_factory=WindowConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> TrainingConfig:
        """A configuration from plain values, such as a recipe or a saved run holds.

        Raises:
            InvalidInputError: an unknown key, or a value that is refused.
        """
        return config_from_dict(cls, values, where)


_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    dict: "a table of settings",
}


def config_from_dict(
    cls: type[Config], values: dict[str, Any], where: str, section: str = ""
) -> Config:
    """A configuration dataclass from plain values, checked key by key and type by type.

    Args:
        cls: the dataclass.
        values: its fields.
        where: whose they are, for messages.
        section: what they are called there, such as `run`.

    Raises:
        InvalidInputError: a key that is unknown or not given, a value of the wrong type, or one
            that is refused.
    """
    fields = typed_fields(typing.get_type_hints(cls), values, where, section)
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        has_default = (item.default, item.default_factory) != (dataclasses.MISSING,) * 2
        if item.name not in fields and not has_default:
            raise InvalidInputError(f"{_dotted(section, item.name)} is not given", path=where)
    try:
        return cls(**fields)
    except ValueError as error:
        raise InvalidInputError(str(error), path=_place(where, section)) from None


def typed_fields(
    hints: Mapping[str, Any], values: dict[str, Any], where: str, section: str
) -> dict[str, Any]:
    """Plain values as the types that belong to their keys; `config_from_dict` without a class.

    Raises:
        InvalidInputError: an unknown key, or a value of the wrong type.
    """
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InvalidInputError(
            f"unknown setting {_dotted(section, unknown[0])!r}",
            path=where,
            hint=f"Known here: {', '.join(sorted(hints))}.",
        )
    return {
        key: _convert(hints[key], value, where, _dotted(section, key))
        for key, value in values.items()
    }


def _dotted(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _place(where: str, key: str) -> str:
    return f"{where}: {key}" if key else where


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InvalidInputError(f"{value!r} is not a section", path=_place(where, key))
        return config_from_dict(typing.cast(type, hint), value, where, key)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):  # something or nothing
        return value if value is None else _convert(arguments[0], value, where, key)
    if origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_convert(arguments[0], item, where, key) for item in value)
        if len(arguments) == len(value):
            pairs = zip(arguments, value, strict=True)
            return tuple(_convert(argument, item, where, key) for argument, item in pairs)
    elif origin is typing.Literal:
        return value  # the dataclass itself refuses others, with better words
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif ((origin or hint) is dict and isinstance(value, dict)) or (
        isinstance(hint, type) and type(value) is hint
    ):
        return value
    kind = _KINDS.get(origin or hint, "a value of this kind")
    if origin is tuple:
        kind = "a list" if arguments[-1] is Ellipsis else f"a list of {len(arguments)}"
    message = f"{value!r} is not {kind}"
    raise InvalidInputError(message, path=_place(where, key), hint="See the recipes.")
