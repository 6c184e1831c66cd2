"""A Perceiver AR that decodes in the native library: the same numbers, many times as fast.

It speaks as `model.base.SequenceModel` does where decoding is concerned, so that `generation` can
use either. One thread computes a decode, and several decodes are shared out among threads.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from perceiver_music.model.native.library import (
    FP32,
    FROM_BF16,
    FROM_FP32,
    INT8,
    Slot,
    kernel_names,
    load_library,
    pointer,
)
from perceiver_music.model.native.side_by_side import run_all, shares
from perceiver_music.model.native.weights import (
    Array,
    NotNative,
    check_tensors,
    latents_at_once,
    shape_of,
    window_of,
)
from perceiver_music.processors import num_threads

Precision = Literal["int8", "fp32"]


class NativeDecode:
    """A decode in progress.

    Attributes:
        logits: float32 `[vocabulary]`, for the token that follows.
    """

    def __init__(self, decoder: NativeDecoder, handle: int, logits: Array) -> None:
        self._decoder = decoder  # its weights are in use
        self.handle = handle
        self.logits = logits
        weakref.finalize(self, decoder.library.pm_decode_free, handle)

    @property
    def context_start(self) -> int:
        """Index of the first token that predictions see now."""
        return self._where()[0]

    @property
    def num_latents(self) -> int:
        """How many of the last tokens are latents now."""
        return self._where()[1]

    @property
    def work(self) -> tuple[int, int]:
        """What it has computed: positions, and passes over the weights, which several may share.

        A step of several decodes is counted with the first of them.
        """
        rows, passes = ctypes.c_int64(), ctypes.c_int64()
        work = self._decoder.library.pm_decode_work
        work(self.handle, ctypes.byref(rows), ctypes.byref(passes))
        return rows.value, passes.value

    def _where(self) -> tuple[int, int]:
        start, latents = ctypes.c_int64(), ctypes.c_int32()
        where = self._decoder.library.pm_decode_where
        where(self.handle, ctypes.byref(start), ctypes.byref(latents))
        return start.value, latents.value


class NativeDecoder:
    """A network in the native library.

    Args:
        config: of a `PerceiverAR`, as a checkpoint has it.
        tensors: its weights by name: float32, or bf16 as unsigned integers of 16 bits.
        precision: `int8` weights, keys and values, or everything as exact as float32.
        kernels: one of `kernel_names()`; None for the best.
        policy: `exact` or `slide`: see `model.base`.
        threads: the most that compute decodes side by side; None for `processors.num_threads`.

    Raises:
        NotNative: the library is not there, or does not compute this network.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Array],
        *,
        precision: Precision = "int8",
        kernels: str | None = None,
        policy: str = "exact",
        threads: int | None = None,
    ) -> None:
        library = load_library()
        if library is None:
            raise NotNative("the library was not compiled")
        if kernels is not None and kernels not in kernel_names():
            raise NotNative(f"this processor has no {kernels}")
        self.library = library
        self._shape = shape_of(config)
        check_tensors(tensors, self._shape)
        self.context, self.latents = window_of(config)
        self.vocabulary_size = int(self._shape.vocabulary)
        self._prompt_ids: frozenset[int] = frozenset()
        if self._shape.events:
            self._prompt_ids = frozenset((int(self._shape.suffix), int(self._shape.middle)))
        self.precision: Precision = precision
        self.policy = policy
        self.threads = num_threads() if threads is None else threads
        self.kernels = kernels or kernel_names()[0]
        self._handle = library.pm_model_new(
            self._shape, INT8 if precision == "int8" else FP32, self.kernels.encode()
        )
        if not self._handle:
            raise MemoryError
        weakref.finalize(self, library.pm_model_free, self._handle)
        self._fill(tensors)

    def _fill(self, tensors: Mapping[str, Array]) -> None:
        self._set(Slot.EMBEDDING, tensors["embedding.weight"])
        self._set(Slot.LOGITS, tensors["output.weight"])
        if self._shape.gap_embeddings:
            self._set(Slot.AFTER_GAP, tensors["after_gap.weight"])
        if self._shape.previous:
            self._set(Slot.PREVIOUS, tensors["previous.weight"])
        names = ("query", "key", "value", "output")
        query, key, value, output = (tensors[f"cross.attention.{name}.weight"] for name in names)
        self._set(Slot.CROSS_QUERY, query)
        self._set(Slot.CONTEXT_KEYS, key)
        self._set(Slot.CONTEXT_VALUES, value)
        self._set(Slot.CROSS_OUTPUT, output)
        self._set(Slot.CROSS_UP, tensors["cross.mlp.up.weight"])
        self._set(Slot.CROSS_DOWN, tensors["cross.mlp.down.weight"])
        for layer in range(self._shape.layers):
            place = f"layers.{layer}"
            *qkv, output = (tensors[f"{place}.attention.{name}.weight"] for name in names)
            self._set(Slot.LAYER_QKV, np.concatenate(qkv), layer)
            self._set(Slot.LAYER_OUTPUT, output, layer)
            self._set(Slot.LAYER_UP, tensors[f"{place}.mlp.up.weight"], layer)
            self._set(Slot.LAYER_DOWN, tensors[f"{place}.mlp.down.weight"], layer)
            if self._shape.value_tables:
                self._set(Slot.VALUE_TABLE, tensors[f"{place}.value_table.weight"], layer)
        if self._shape.events:
            self._set(Slot.KEY_TERMS, tensors["event_reader.keys.weight"].T)
            self._set(Slot.VELOCITY, tensors["event_reader.velocity.weight"])
            self._set(Slot.LAST_ONSET, tensors["event_reader.onsets.0.weight"])
            self._set(Slot.SECOND_ONSET, tensors["event_reader.onsets.1.weight"])
            self._set(Slot.RATES, tensors["event_reader.rates.weight"])
            self._set(Slot.RATES_BIAS, tensors["event_reader.rates.bias"][None])
        neighbours, kind = np.zeros((0, 1), np.float32), FROM_FP32
        if self._shape.neighbours:
            neighbours, kind = _plain(tensors["cross.neighbours.weight"])
        _check(
            self.library.pm_model_finish(
                self._handle, neighbours.ctypes.data, kind, len(neighbours)
            )
        )

    def _set(self, slot: Slot, tensor: Array, layer: int = 0) -> None:
        plain, kind = _plain(tensor)
        rows, columns = plain.shape
        _check(
            self.library.pm_model_set(
                self._handle, slot, layer, plain.ctypes.data, kind, rows, columns
            )
        )

    def begin(
        self,
        tokens: Sequence[int],
        *,
        context: int | None = None,
        latents: int | None = None,
    ) -> NativeDecode:
        """Start a decode: see `SequenceModel.begin`.

        Raises:
            ValueError: no tokens or impossible ones, or `context` and `latents` that do not fit.
        """
        context = self.context if context is None else context
        latents = min(self.latents, context) if latents is None else latents
        if not len(tokens):
            raise ValueError("a decode starts from at least one token")
        if not 2 <= latents <= context:
            raise ValueError(f"latents ({latents}) go from 2 to the context ({context})")
        ids = self._ids(tokens)
        logits = np.empty(self.vocabulary_size, np.float32)
        handle = self.library.pm_decode_new(
            self._handle,
            ids.ctypes.data,
            len(ids),
            context,
            latents,
            0 if self.policy == "slide" else self._latents_at_once(context),
            logits.ctypes.data,
        )
        if not handle:
            raise MemoryError
        return NativeDecode(self, handle, logits)

    def _latents_at_once(self, context: int) -> int:
        return latents_at_once(context, keeps_keys=bool(self._shape.neighbours))

    def begin_many(
        self,
        primers: Sequence[Sequence[int]],
        *,
        context: int | None = None,
        latents: int | None = None,
    ) -> list[NativeDecode]:
        """Start a decode after each of several primers, which are read once each: see `begin`."""
        wanted = [tuple(tokens) for tokens in primers]
        different = list(dict.fromkeys(wanted))
        begun: dict[tuple[int, ...], NativeDecode] = {}

        def begin(part: slice) -> None:
            for tokens in different[part]:
                begun[tokens] = self.begin(tokens, context=context, latents=latents)

        run_all(begin, shares(len(different), self.threads))
        return [
            begun[tokens] if wanted.index(tokens) == place else self.branch(begun[tokens])
            for place, tokens in enumerate(wanted)
        ]

    def branch(self, state: NativeDecode) -> NativeDecode:
        """A decode of its own that stands where this one does."""
        handle = self.library.pm_decode_copy(state.handle)
        if not handle:
            raise MemoryError
        return NativeDecode(self, handle, state.logits.copy())

    def advance(self, state: NativeDecode, token: int) -> None:
        """Append `token`, and predict what follows it."""
        self.advance_many([state], [token])

    def advance_many(self, states: Sequence[NativeDecode], tokens: Sequence[int]) -> None:
        """Append a token to each of several decodes: the same numbers as one after the other."""
        if len(tokens) != len(states):
            raise ValueError(f"{len(tokens)} tokens for {len(states)} decodes")
        if not len(tokens):
            return
        ids = np.asarray(tokens, dtype=np.int32)
        numbers = ids.tolist()  # so few are not worth more calls of numpy
        self._refuse_ids(ids.ndim, min(numbers), max(numbers))
        if not self._prompt_ids.isdisjoint(numbers):
            raise ValueError("an infilling prompt is given whole, at the start of a decode")
        handles = np.array([state.handle for state in states], dtype=np.uintp)
        logits = np.empty((len(states), self.vocabulary_size), np.float32)

        def advance(part: slice) -> None:
            """Those of a part; `states` are held, as a thread goes on when a signal comes."""
            of_part = states[part]
            count = len(of_part)
            at = pointer(handles[part]), pointer(ids[part]), count, pointer(logits[part])
            _check(self.library.pm_advance(*at))

        run_all(advance, shares(len(states), self.threads))
        for state, row in zip(states, logits, strict=True):
            state.logits = row

    def _ids(self, tokens: Sequence[int]) -> npt.NDArray[np.int32]:
        ids = np.asarray(tokens, dtype=np.int32)
        if len(ids):
            self._refuse_ids(ids.ndim, ids.min(), ids.max())
        return ids

    def _refuse_ids(self, num_axes: int, least: Any, largest: Any) -> None:
        if num_axes != 1 or least < 0 or largest >= self.vocabulary_size:
            raise ValueError(f"token ids are a row of numbers from 0 to {self.vocabulary_size - 1}")


def _plain(tensor: Array) -> tuple[Array, int]:
    """The tensor in one piece of memory, and what its numbers are."""
    kind = FROM_BF16 if tensor.dtype == np.uint16 else FROM_FP32
    return np.ascontiguousarray(tensor), kind


def _check(failed: int) -> None:
    if failed:
        raise MemoryError
