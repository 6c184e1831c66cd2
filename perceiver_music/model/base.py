"""What every model promises: score a window, and decode event by event.

A decode's state is opaque to its user. The policies are the same for all models. *Exact*: the last
positions (*latents*) grow from half of the allowed number to all of it, then the state is rebuilt
at half (*re-anchored*). The start of the context moves only then, so that cached keys stay exact
and every latent depends only on latents that training has shown it (arXiv 2202.07765, E.3).
*Slide*: once latents, and context, are as many as allowed, each new one takes the place of the
oldest, and nothing is ever rebuilt. What a latent's keys and values were made of stays in them, so
predictions depend a little on what was forgotten; benchmarks/decoding says what that costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.cross_block import ContextTable
from perceiver_music.model.event_state import EventTracker
from perceiver_music.model.kv_cache import KeyValueCache, SegmentMemory

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from perceiver_music.model.static_decoding import StaticRow


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """Where a decode's window stands after it was (re)built.

    Attributes:
        context_start: index of the first token that predictions see.
        num_latents: latents at the moment of building.
    """

    context_start: int
    num_latents: int

    @classmethod
    def at(cls, length: int, *, context: int, latents: int) -> Anchor:
        """The anchor for `length` tokens when at most `context` and `latents` are allowed."""
        num_latents = min(length, max(1, latents // 2))
        room_to_grow = latents - num_latents
        return cls(context_start=max(0, length - (context - room_to_grow)), num_latents=num_latents)


class DecodeState:
    """A decode in progress: all tokens so far and what predicts the next one.

    Attributes:
        tokens: every token given or appended, from the first.
        context_start: index of the first one that predictions see now.
        num_latents: how many of the last tokens are latents now.
        logits: float32 `[vocabulary]`, for the token that follows `tokens`.
        slides: whether it forgets one position for each new one, instead of being rebuilt.
        origin: index of the token that positions are counted from.
    """

    def __init__(
        self, tokens: Sequence[int], *, context: int, latents: int, slides: bool = False
    ) -> None:
        self.tokens = list(tokens)
        self.context = context
        self.latents = latents
        self.slides = slides
        self.origin = 0
        self.context_start = 0
        self.num_latents = 0
        self.logits = torch.empty(0)
        self.caches: list[KeyValueCache] = []
        self.table: ContextTable | None = None
        self.tracker: EventTracker | None = None
        self.memories: list[SegmentMemory] = []
        self.row: StaticRow | None = None

    @property
    def is_full(self) -> bool:
        """Whether one more latent is one too many."""
        return self.num_latents >= self.latents


class SequenceModel(nn.Module, ABC):
    """A causal model of token sequences; it knows no tokenizer and no data set."""

    config: DataclassInstance
    """Everything that the shapes and the computation depend on."""
    context: int
    """The longest window that training used; longer ones work."""
    latents: int
    """How many positions of a window training scored; fewer and more work."""
    vocabulary_size: int
    policy: str = "exact"
    """Of the decodes that begin: `exact` or `slide`."""

    @abstractmethod
    def forward(
        self,
        tokens: Int[Tensor, "batch context"],
        *,
        num_latents: int,
        visible: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch latents vocabulary"]:
        """Logits of the token that follows each of the last `num_latents` positions.

        Args:
            tokens: windows, aligned at their ends; shorter ones are filled on the left.
            num_latents: 1 to the length of the window.
            visible: False where a position must not be seen by others: filling, or prefix
                dropout.
        """

    @abstractmethod
    def _build(self, state: DecodeState) -> None:
        """Fill the caches and logits of `state` for its anchor."""

    @abstractmethod
    def _append(self, state: DecodeState, token: int) -> None:
        """Add one latent to the caches and set the logits."""

    @torch.inference_mode()
    def begin(
        self, tokens: Sequence[int], *, context: int | None = None, latents: int | None = None
    ) -> DecodeState:
        """Start a decode after `tokens`, of which there must be at least one.

        An infilling prompt is among them as a whole or not at all: `advance` takes no part of it.

        Raises:
            ValueError: no tokens, or `context` and `latents` that do not fit together.
        """
        context = self.context if context is None else context
        latents = min(self.latents, context) if latents is None else latents
        if not tokens:
            raise ValueError("a decode starts from at least one token")
        if not 2 <= latents <= context:
            raise ValueError(f"latents ({latents}) go from 2 to the context ({context})")
        state = DecodeState(tokens, context=context, latents=latents, slides=self.policy == "slide")
        self._anchor(state)
        return state

    def begin_many(
        self,
        primers: Sequence[Sequence[int]],
        *,
        context: int | None = None,
        latents: int | None = None,
    ) -> list[DecodeState]:
        """Start a decode after each of several primers: see `begin`."""
        return [self.begin(tokens, context=context, latents=latents) for tokens in primers]

    @torch.inference_mode()
    def branch(self, state: DecodeState) -> DecodeState:
        """A decode of its own that stands where this one does.

        One in static rows is begun anew with the same tokens, from half of its latents.
        """
        if state.row is not None:
            return self.begin(state.tokens, context=state.context, latents=state.latents)
        other = copy(state)
        other.tokens = state.tokens.copy()
        other.caches = [cache.copy() for cache in state.caches]
        other.tracker = deepcopy(state.tracker)
        other.memories = [copy(memory) for memory in state.memories]
        return other

    def advance(self, state: DecodeState, token: int) -> None:
        """Append `token`, and predict what follows it."""
        self.advance_many([state], [token])

    @torch.inference_mode()
    def advance_many(self, states: Sequence[DecodeState], tokens: Sequence[int]) -> None:
        """Append a token to each of several decodes: the same numbers as one after the other."""
        growing = []
        for state, token in zip(states, tokens, strict=True):
            state.tokens.append(token)
            if state.is_full and not state.slides:
                self._anchor(state)
            else:
                state.num_latents = min(state.num_latents + 1, state.latents)
                state.context_start = max(state.context_start, len(state.tokens) - state.context)
                growing.append(state)
        self._append_many(growing)

    def _append_many(self, states: Sequence[DecodeState]) -> None:
        """Add the last token of each to its caches as one latent and set the logits."""
        for state in states:
            self._append(state, state.tokens[-1])

    def _anchor(self, state: DecodeState) -> None:
        anchor = Anchor.at(len(state.tokens), context=state.context, latents=state.latents)
        state.origin = state.context_start = anchor.context_start
        state.num_latents = anchor.num_latents
        self._build(state)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def num_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def check_window(tokens: Tensor, num_latents: int) -> None:
    """Refuse a number of latents that the window cannot have.

    Raises:
        ValueError: `num_latents` is not in 1..context.
    """
    if not 1 <= num_latents <= tokens.shape[1]:
        raise ValueError(f"{num_latents} latents in a window of {tokens.shape[1]} tokens")
