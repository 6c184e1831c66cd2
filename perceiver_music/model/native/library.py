"""The compiled library as Python sees it: its shapes, its functions, and whether it is there."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_uint64, c_void_p
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy.typing as npt

from perceiver_music.model.native.compile import LIBRARY, hash_of_sources

_ABI: Final = 5
FP32, INT8 = 0, 1
FROM_FP32, FROM_BF16 = 0, 1


_Place = ctypes.c_byte * 1


class Shape(ctypes.Structure):
    """`pm_shape` of `source/engine.h`."""

    _fields_ = (
        *((name, c_int32) for name in ("vocabulary", "width", "heads", "layers", "hidden")),
        *((name, c_int32) for name in ("pairs", "time_pairs", "previous")),
        *((name, c_int32) for name in ("value_tables", "events", "neighbours", "gap_embeddings")),
        *((name, c_int32) for name in ("note_on", "note_off", "time_shift", "velocity")),
        *((name, c_int32) for name in ("suffix", "middle")),
        *((name, c_int32) for name in ("num_pitches", "num_shifts", "num_velocities")),
        ("soft_cap", c_float),
        ("max_wavelength", c_double),
    )


class Draw(ctypes.Structure):
    """`pm_draw` of `source/api.h`."""

    _fields_ = (
        *((name, c_double) for name in ("temperature", "top_p", "min_p")),
        *((name, c_int32) for name in ("top_k", "first_time", "past_times")),
    )


class AttentionParts(ctypes.Structure):
    """`pm_attention` of `source/engine.h`."""

    _fields_ = (
        *((name, c_int32) for name in ("heads", "queries", "keys", "width", "num_ids")),
        *((name, c_void_p) for name in ("query", "key", "table", "ids", "visible")),
        *((name, c_void_p) for name in ("mixed", "inverse", "slope")),
        *((name, c_void_p) for name in ("query_slope", "key_slope", "table_slope")),
    )


class Slot(IntEnum):
    """Places of weights, in the order of `source/api.h`."""

    EMBEDDING = 0
    PREVIOUS = 1
    CONTEXT_KEYS = 2
    CONTEXT_VALUES = 3
    CROSS_QUERY = 4
    CROSS_OUTPUT = 5
    CROSS_UP = 6
    CROSS_DOWN = 7
    LAYER_QKV = 8
    LAYER_OUTPUT = 9
    LAYER_UP = 10
    LAYER_DOWN = 11
    VALUE_TABLE = 12
    LOGITS = 13
    KEY_TERMS = 14
    VELOCITY = 15
    LAST_ONSET = 16
    SECOND_ONSET = 17
    RATES = 18
    RATES_BIAS = 19
    AFTER_GAP = 20


_FUNCTIONS = {
    "pm_kernels_name": (c_char_p, [c_int32]),
    "pm_model_new": (c_void_p, [POINTER(Shape), c_int32, c_char_p]),
    "pm_model_set": (c_int32, [c_void_p, *[c_int32] * 2, c_void_p, *[c_int32] * 3]),
    "pm_model_finish": (c_int32, [c_void_p, c_void_p, c_int32, c_int32]),
    "pm_model_free": (None, [c_void_p]),
    "pm_decode_new": (
        c_void_p,
        [c_void_p, c_void_p, c_int64, *[c_int32] * 3, c_void_p],
    ),
    "pm_decode_copy": (c_void_p, [c_void_p]),
    "pm_decode_free": (None, [c_void_p]),
    "pm_advance": (c_int32, [c_void_p, c_void_p, c_int32, c_void_p]),
    "pm_choose": (c_int32, [c_void_p, c_void_p, c_int32, POINTER(Draw), c_double]),
    "pm_attend": (c_int32, [POINTER(AttentionParts), c_int32, c_int32, c_char_p]),
    "pm_read": (c_uint64, [c_void_p, c_int64]),
    "pm_decode_where": (None, [c_void_p, POINTER(c_int64), POINTER(c_int32)]),
    "pm_decode_work": (None, [c_void_p, POINTER(c_int64), POINTER(c_int64)]),
}


def load_library() -> ctypes.CDLL | None:
    """The library; None where it was not compiled, or for another system, or is stale."""
    return _found()[0]


def is_stale() -> bool:
    """Whether it is there, but was compiled from other sources than are beside it now."""
    return _found()[1]


@lru_cache(maxsize=1)
def _found() -> tuple[ctypes.CDLL | None, bool]:
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None, False
    try:
        if not _is_of_these_sources(library):
            return None, True
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        return None, True
    return library, False


def _is_of_these_sources(library: ctypes.CDLL) -> bool:
    """By their hash, or where they were left out, by the number of what is called here."""
    expected = hash_of_sources()
    if library.pm_abi() != _ABI or expected is None:
        return library.pm_abi() == _ABI
    library.pm_sources.restype = c_char_p
    return library.pm_sources() == expected.encode()


def pointer(array: npt.NDArray[Any]) -> Any:
    """The place of an array in one piece, as an argument; faster than `array.ctypes.data`."""
    try:
        return _Place.from_buffer(array)  # type: ignore[arg-type]
    except TypeError:  # not to be written to
        return array.ctypes.data


def kernel_names() -> tuple[str, ...]:
    """Kinds of processor that the library has code for and this one is, the best first."""
    library = load_library()
    names: list[str] = []
    while library is not None and (name := library.pm_kernels_name(len(names))) is not None:
        names.append(name.decode())
    return tuple(names)
