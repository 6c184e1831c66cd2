"""Weights and shape of a network for the native decoder, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perceiver_music.model.native.library import Shape

LARGEST_CONTEXT: Final = 1 << 22
"""Far beyond any; a configuration that asks for more is damaged or hostile."""

Array = npt.NDArray[Any]

_LATENTS_AT_ONCE: Final = ((8192, 3), (16_384, 7))
_MOST_LATENTS_AT_ONCE: Final = 23

_BLOCK: Final = {
    "mlp_ratio": 4,
    "norm": "rms",
    "qk_norm": True,
    "bias": False,
    "zero_init_branches": True,
    "value_embeddings": False,
    "rotary_fraction": 0.5,
    "rotary_max_wavelength": 8192.0,
    "time_rotary_fraction": 0.0,
    "dropout": 0.0,
}
_NETWORK: Final = {
    "context": 4096,
    "latents": 1024,
    "num_layers": 6,
    "query_projection": False,
    "previous_token": False,
    "logit_soft_cap": 15.0,
    "events": None,
    "neighbour_keys": False,
    "gap_embeddings": False,
}
_EVENTS: Final = {"num_pitches": 128, "num_shifts": 100, "num_velocities": 32}
_STARTS: Final = ("note_on", "note_off", "time_shift", "velocity", "suffix", "middle")
_MOST: Final = {"vocabulary": 16_384, "width": 16_384, "layers": 256, "head_width": 1024}
_DTYPES: Final[dict[str, np.dtype[Any]]] = {"BF16": np.dtype("<u2"), "F32": np.dtype("<f4")}
_LONGEST_HEADER: Final = 1 << 24


class NotNative(Exception):
    """The native decoder does not compute this network; torch does, or says what is wrong."""


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a Perceiver AR's configuration describes.

    Raises:
        NotNative: another flavour than this decoder's, or no configuration at all.
    """
    try:
        network = {**_NETWORK, **config}
        block = {**_BLOCK, **network.pop("block")}
        width, heads = _whole(block.pop("width")), _whole(block.pop("num_heads"))
        vocabulary = _whole(network.pop("vocabulary_size"))
        if set(block) - set(_BLOCK) or set(network) - set(_NETWORK):
            raise NotNative("settings of another version")
        flavour = (block["norm"], block["qk_norm"], block["bias"], network["query_projection"])
        if flavour != ("rms", True, False, False):
            raise NotNative("another flavour of the network")
        if width < 1 or heads < 1 or width % heads or vocabulary < 1:
            raise NotNative("sizes that do not fit")
        head_width = width // heads
        events = network["events"]
        layout = {**_EVENTS, **events} if events else {}
        shape = Shape(
            vocabulary=vocabulary,
            width=width,
            heads=heads,
            layers=_whole(network["num_layers"]),
            hidden=_whole(block["mlp_ratio"]) * width,
            pairs=round(head_width * block["rotary_fraction"] / 2),
            time_pairs=round(head_width * block["time_rotary_fraction"] / 2),
            previous=bool(network["previous_token"]),
            value_tables=bool(block["value_embeddings"]),
            events=bool(events),
            neighbours=bool(network["neighbour_keys"]),
            gap_embeddings=bool(network["gap_embeddings"]),
            soft_cap=float(network["logit_soft_cap"] or 0.0),
            max_wavelength=float(block["rotary_max_wavelength"]),
            **{name: int(layout[name]) for name in (*_STARTS, *_EVENTS) if events},
        )
        _check(shape, head_width)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise NotNative("no configuration of a Perceiver AR") from None
    return shape


def window_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """The context and the latents of a configuration.

    Raises:
        NotNative: they are none.
    """
    try:
        context, latents = (_whole({**_NETWORK, **config}[name]) for name in ("context", "latents"))
    except (TypeError, ValueError, OverflowError):
        raise NotNative("no configuration of a Perceiver AR") from None
    if not 2 <= latents <= context <= LARGEST_CONTEXT:
        raise NotNative("a context that does not fit")
    return context, latents


def latents_at_once(context: int, *, keeps_keys: bool) -> int:
    """How many latents of the next set are computed together, in every so many steps.

    With the newest position they fill rows of four, for which the kernels read each weight once.
    Four rows cost hardly more than one; more of them read a long context's keys less often, in
    steps that are longer, but by less than those keys take to be made. Only keys that know their
    neighbours are kept: `source/context.h`.
    """
    for longest, latents in _LATENTS_AT_ONCE:
        if context <= longest or not keeps_keys:
            return latents
    return _MOST_LATENTS_AT_ONCE


def _whole(value: object) -> int:
    """A whole number, and nothing that only looks like one."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _check(shape: Shape, head_width: int) -> None:
    sizes = {"vocabulary": shape.vocabulary, "width": shape.width, "layers": shape.layers}
    sizes["head_width"] = head_width
    if any(not 1 <= size <= _MOST[name] for name, size in sizes.items()):
        raise NotNative("sizes beyond what it is made for")
    if shape.pairs < 1 or 2 * (shape.pairs + shape.time_pairs) > head_width or shape.hidden < 1:
        raise NotNative("rotary fractions that do not fit")
    if shape.soft_cap < 0.0 or not 1.0 < shape.max_wavelength < float("inf"):
        raise NotNative("numbers that make no sense")
    if not shape.events:
        if shape.neighbours or shape.gap_embeddings or shape.time_pairs:
            raise NotNative("time, neighbours and gaps of events that are not counted")
        return
    kinds = {"note_on": shape.num_pitches, "note_off": shape.num_pitches}
    if not 1 <= shape.num_pitches <= 128 or not 1 <= shape.num_shifts <= 4096:
        raise NotNative("another layout of events")
    for name, size in kinds.items():
        if not 0 <= getattr(shape, name) <= shape.vocabulary - size:
            raise NotNative("another layout of events")


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the network, as a checkpoint has them."""
    vocabulary, width = shape.vocabulary, shape.width
    square, up = (width, width), (shape.hidden, width)
    found: dict[str, tuple[int, ...]] = {"embedding.weight": (vocabulary, width)}
    found["output.weight"] = (vocabulary, width)
    if shape.gap_embeddings:
        found["after_gap.weight"] = (vocabulary, width)
    if shape.previous:
        found["previous.weight"] = (vocabulary, width)
    for place in ("cross", *(f"layers.{i}" for i in range(shape.layers))):
        for name in ("query", "key", "value", "output"):
            found[f"{place}.attention.{name}.weight"] = square
        found[f"{place}.mlp.up.weight"], found[f"{place}.mlp.down.weight"] = up, up[::-1]
        if shape.value_tables and place != "cross":
            found[f"{place}.value_table.weight"] = (vocabulary, width)
    if shape.neighbours:
        rows = vocabulary + 1 + 2 * (shape.num_pitches + 1)
        found["cross.neighbours.weight"] = (rows, width)
    if shape.events:
        found["event_reader.keys.weight"] = (width, shape.num_pitches * 11)
        found["event_reader.velocity.weight"] = (shape.num_velocities + 1, width)
        for i in range(2):
            found[f"event_reader.onsets.{i}.weight"] = (shape.num_pitches + 1, width)
        found["event_reader.rates.weight"], found["event_reader.rates.bias"] = (17, width), (17,)
    return found


def read_tensors(data: bytes) -> dict[str, Array]:
    """The tensors of a safetensors file; bf16 as 16-bit unsigned integers.

    Raises:
        NotNative: it is not one, or holds other numbers than bf16 and fp32.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        if size > min(_LONGEST_HEADER, len(data) - 8):
            raise NotNative("not a safetensors file")
        header = json.loads(data[8 : 8 + size])
        tensors: dict[str, Array] = {}
        places: list[tuple[int, int]] = []
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            dtype, shape = _DTYPES[entry["dtype"]], tuple(map(int, entry["shape"]))
            body = memoryview(data)[8 + size + start : 8 + size + end]
            tensors[name] = np.frombuffer(body, dtype).reshape(shape)
            places.append((start, end))
        _check_places(places, len(data) - 8 - size)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotNative("not a safetensors file that it reads") from None
    return tensors


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    """As the format has it: tensors side by side from the first byte to the last, and no others."""
    position = 0
    for start, end in sorted(places):
        if start != position or end < start:
            raise NotNative("not a safetensors file")
        position = end
    if position != size:
        raise NotNative("not a safetensors file")


def check_tensors(tensors: Mapping[str, Array], shape: Shape) -> None:
    """Refuse tensors that are not exactly the network's, or not finite.

    Raises:
        NotNative: torch says it better.
    """
    if {name: tensor.shape for name, tensor in tensors.items()} != tensor_shapes(shape):
        raise NotNative("weights that do not fit the configuration")
    for tensor in tensors.values():
        if tensor.dtype == np.uint16:
            is_finite = ((tensor & 0x7F80) != 0x7F80).all()
        else:
            is_finite = np.isfinite(tensor).all()
        if not is_finite:
            raise NotNative("weights that are not finite")
