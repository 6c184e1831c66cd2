"""What decides the shapes and the computation of a Perceiver AR.

Two presets: `paper` is the published network; `modern` keeps its plan and changes what trains
faster (norms, queries and keys, initialisation, no biases).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from perceiver_music.model.attention import BlockConfig, check_soft_cap
from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.native.weights import LARGEST_CONTEXT

MOST_LAYERS = 1 << 12


@dataclass(frozen=True, kw_only=True)
class PerceiverARConfig:
    """Everything that the shapes and the computation depend on.

    Attributes:
        vocabulary_size: number of token ids.
        context: C, window length in training; rotary positions allow others.
        latents: N, positions scored per window in training; others work.
        num_layers: depth of the stack over the latents, the cross-attention not counted.
        block: shape and flavour of all blocks.
        query_projection: a linear layer on the latents' embeddings before the cross-attention.
        previous_token: each latent also gets an embedding of the token before it.
        logit_soft_cap: logits pass through cap * tanh(logits / cap); None for none.
        events: which ids are which events, for the counted state (`event_state`); None for a
            model that sees nothing but tokens.
        neighbour_keys: the context's keys know what stands before each token (`neighbours`).
        gap_embeddings: in the context what follows the gap of an infilling prompt has embeddings
            of its own, learned as a difference to the plain ones, so that it is not taken for past.
    """

    vocabulary_size: int
    context: int = 4096
    latents: int = 1024
    num_layers: int = 6
    block: BlockConfig
    query_projection: bool = False
    previous_token: bool = False
    logit_soft_cap: float | None = 15.0
    events: EventLayout | None = None
    neighbour_keys: bool = False
    gap_embeddings: bool = False

    def __post_init__(self) -> None:
        check_soft_cap(self.logit_soft_cap)
        of_events = (self.block.time_rotary_fraction, self.neighbour_keys, self.gap_embeddings)
        if self.events is None and any(of_events):
            raise ValueError(
                "time_rotary_fraction, neighbour_keys and gap_embeddings are of events: count them"
            )
        if not 2 <= self.latents <= self.context:
            raise ValueError(f"latents ({self.latents}) go from 2 to context ({self.context})")
        if self.vocabulary_size < 1 or self.num_layers < 1:
            raise ValueError("a model has at least one token id and one layer")
        if self.context > LARGEST_CONTEXT or self.num_layers > MOST_LAYERS:
            raise ValueError(
                f"the context is up to {LARGEST_CONTEXT} tokens, layers up to {MOST_LAYERS}"
            )

    @classmethod
    def modern(cls, *, width: int, num_heads: int, **fields: Any) -> PerceiverARConfig:
        """The preset `modern`."""
        fields = {"previous_token": True, **fields}
        block = BlockConfig(width=width, num_heads=num_heads, value_embeddings=True)
        return cls(block=block, **fields)

    @classmethod
    def paper(cls, *, width: int, num_heads: int, **fields: Any) -> PerceiverARConfig:
        """The preset `paper`; its slowest rotary wavelength is the context length."""
        fields = {"query_projection": True, "logit_soft_cap": None, **fields}
        config = cls(block=BlockConfig(width=width, num_heads=num_heads), **fields)
        block = BlockConfig(
            width=width,
            num_heads=num_heads,
            norm="layer",
            qk_norm=False,
            bias=True,
            zero_init_branches=False,
            rotary_fraction=0.25,
            rotary_max_wavelength=float(config.context),
            dropout=0.1,
        )
        return replace(config, block=block)
