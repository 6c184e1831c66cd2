"""Training windows as a pure function of (seed, step, row); the same for any number of ranks.

A piece is BOS, its events, EOS. A window is known by where it ends; its last N positions, the
latents, predict the N tokens after each. The possible ends of all pieces are laid side by side
and visited N apart, from an offset that each epoch draws, in an order that each epoch shuffles:
every token of every piece is a target exactly once an epoch, as long as pieces are played as they
were. At another tempo a piece has another length, over which its ends are spread, and a window that
is a gap to be filled has targets of its own: then some come twice, and some not at all. Near the
start of a piece a window has less context, as a user's short primer has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perceiver_music.dataset.augmentation import (
    AugmentationConfig,
    stretched,
    vary_key_and_velocity,
)
from perceiver_music.dataset.gaps import gap_window
from perceiver_music.tokenizer.vocabulary import MAESTRO, Vocabulary

if TYPE_CHECKING:
    from perceiver_music.dataset.token_store import Piece, TokenStore

NOT_SCORED = -100
"""Target of a position that does not count (cross_entropy's own convention)."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """What a training step sees.

    Attributes:
        latents: N, positions scored per window.
        contexts: [first step, C] pairs: the window length from that step on.
        windows_per_step: global batch, over all ranks and micro-batches.
        short_context_share: share of windows whose context starts late, at a random place.
        prefix_dropout: chance of hiding each token of the prefix ("cross-attend dropout").
        infill_share: share of windows that are a gap to be filled (`tokenizer.infilling`).
        infill_seconds: shortest and longest gap, drawn evenly on a logarithmic scale.
    """

    latents: int = 512
    contexts: tuple[tuple[int, int], ...] = ((0, 1024),)
    windows_per_step: int = 8
    short_context_share: float = 0.1
    prefix_dropout: float = 0.0
    infill_share: float = 0.0
    infill_seconds: tuple[float, float] = (1.0, 30.0)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        steps = [step for step, _ in self.contexts]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError("contexts is a list of [first step, length] that starts at step 0")
        if not 2 <= self.latents <= min(length for _, length in self.contexts):
            raise ValueError(f"latents ({self.latents}) go from 2 to the shortest context")
        if self.windows_per_step < 1:
            raise ValueError("windows_per_step is 1 or more")
        if not (0.0 <= self.short_context_share <= 1.0 and 0.0 <= self.prefix_dropout < 1.0):
            raise ValueError("short_context_share and prefix_dropout are shares")
        shortest, longest = self.infill_seconds
        if not (0.0 <= self.infill_share <= 1.0 and 0.05 <= shortest <= longest <= 120.0):
            raise ValueError("infill_share is a share, infill_seconds two times up to 120")

    def context_at(self, step: int) -> int:
        """Window length at a step."""
        return next(length for first, length in reversed(self.contexts) if first <= step)

    def longest_before(self, step: int) -> int:
        """The longest window of the steps before this one."""
        return max(length for first, length in self.contexts if first < max(step, 1))


@dataclass(frozen=True)
class WindowBatch:
    """Windows aligned at their ends.

    Attributes:
        tokens: int64 `[windows, C]`, filled with PAD on the left.
        visible: bool `[windows, C]`: False for filling and dropped prefix; None if all are.
        targets: int64 `[windows, N]`, NOT_SCORED where nothing is predicted.
    """

    tokens: npt.NDArray[np.int64]
    visible: npt.NDArray[np.bool_] | None
    targets: npt.NDArray[np.int64]

    def parts(self, size: int) -> Iterator[WindowBatch]:
        """The same windows, at most `size` at a time."""
        for start in range(0, len(self.tokens), size):
            part = slice(start, start + size)
            visible = None if self.visible is None else self.visible[part]
            yield WindowBatch(self.tokens[part], visible, self.targets[part])


def with_bos_eos(
    ids: npt.NDArray[np.integer], vocabulary: Vocabulary = MAESTRO
) -> npt.NDArray[np.int64]:
    """A whole piece as the model sees it."""
    return np.concatenate(([vocabulary.bos], ids.astype(np.int64), [vocabulary.eos]))


class TrainingWindows:
    """All windows of one split of a store.

    Raises:
        ValueError: the split has no piece.
        UsageError: gaps are wanted, and the store's tokenizer has no way to write them.
    """

    def __init__(self, store: TokenStore, config: WindowConfig, *, split: str, seed: int) -> None:
        self._store, self.config, self._seed = store, config, seed
        self._tokenizer = store.tokenizer
        if config.infill_share:
            self._tokenizer.require_infilling()
        self._pieces: tuple[Piece, ...] = store.split(split)
        if not self._pieces:
            raise ValueError(f"the store has no piece in the split {split!r}")
        num_targets = np.array([piece.num_tokens + 1 for piece in self._pieces])
        # A target of a piece is covered by the N ends at and after it, all of them its own.
        ends = num_targets + config.latents - 1
        self._piece_edges = np.concatenate(([0], np.cumsum(ends)))
        self.num_targets = int(num_targets.sum())
        self._encoded = lru_cache(maxsize=64)(self._encode_stretched)
        self._epoch_order = lru_cache(maxsize=2)(self._shuffle_epoch)

    @property
    def windows_per_epoch(self) -> int:
        """How many windows cover every target once."""
        return -(-int(self._piece_edges[-1]) // self.config.latents)

    def batch(self, step: int, rows: range | None = None) -> WindowBatch:
        """The windows of one step, or those `rows` of it that one rank takes."""
        config = self.config
        rows = range(config.windows_per_step) if rows is None else rows
        context = config.context_at(step)
        tokens = np.full((len(rows), context), self._tokenizer.vocabulary.pad, dtype=np.int64)
        visible = np.zeros((len(rows), context), dtype=np.bool_)
        targets = np.full((len(rows), config.latents), NOT_SCORED, dtype=np.int64)
        for i, row in enumerate(rows):
            self._fill(step * config.windows_per_step + row, tokens[i], visible[i], targets[i])
        return WindowBatch(tokens, None if visible.all() else visible, targets)

    def _fill(
        self,
        number: int,
        tokens: npt.NDArray[np.int64],
        visible: npt.NDArray[np.bool_],
        targets: npt.NDArray[np.int64],
    ) -> None:
        """Write window `number` of the whole training into one row."""
        config = self.config
        rng = np.random.Generator(np.random.Philox(key=[self._seed, number]))
        place = self._place(number)
        if place is None:
            return
        piece, end = place
        factor = config.augmentation.stretch[rng.integers(len(config.augmentation.stretch))]
        sequence = self._encoded(piece, factor)
        num_ends = len(sequence) - 2 + config.latents
        piece_ends = int(self._piece_edges[piece + 1] - self._piece_edges[piece])
        if num_ends != piece_ends:  # a stretched piece has its own length
            end = 1 + int((end - 1) * num_ends / piece_ends)
        # Ends beyond the piece's last token only say that fewer targets count.
        last = min(end, len(sequence) - 1)
        gap = None
        if config.infill_share and rng.random() < config.infill_share:
            gap = gap_window(
                sequence,
                last,
                rng,
                context=len(tokens),
                latents=config.latents,
                seconds=config.infill_seconds,
            )
        if gap is None:
            start = max(0, last - len(tokens))
            window = sequence[start : last + 1]
            may_score = np.ones(len(window), dtype=np.bool_)
            num_latents = min(last - start, config.latents - (end - last))
        else:
            window, may_score = gap
            num_latents = min(len(window) - 1, config.latents)
        window = vary_key_and_velocity(window, rng, config.augmentation, self._tokenizer.vocabulary)
        size = len(window) - 1
        tokens[-size:] = window[:-1]
        scored = window[-num_latents:]
        targets[-num_latents:] = np.where(may_score[-num_latents:], scored, NOT_SCORED)
        visible[-size:] = self._visible(rng, size) if gap is None else True

    def _visible(self, rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
        config = self.config
        shown = np.ones(size, dtype=np.bool_)
        num_prefix = max(0, size - config.latents)
        is_short, cut = rng.random(2)
        if is_short < config.short_context_share:
            shown[: int(cut * (num_prefix + 1))] = False
        if config.prefix_dropout:
            shown[:num_prefix] &= rng.random(num_prefix) >= config.prefix_dropout
        return shown

    def _place(self, number: int) -> tuple[int, int] | None:
        """Piece and end (1 to its number of ends) of a window; None for the last grid's rest."""
        epoch, index = divmod(number, self.windows_per_epoch)
        offset, order = self._epoch_order(epoch)
        position = offset + int(order[index]) * self.config.latents
        position %= self.windows_per_epoch * self.config.latents
        if position >= self._piece_edges[-1]:
            return None
        piece = int(np.searchsorted(self._piece_edges, position, side="right")) - 1
        return piece, position - int(self._piece_edges[piece]) + 1

    def _shuffle_epoch(self, epoch: int) -> tuple[int, npt.NDArray[np.int64]]:
        rng = np.random.Generator(np.random.Philox(key=[self._seed ^ 0x5EED, epoch]))
        offset = int(rng.integers(self.config.latents))
        return offset, rng.permutation(self.windows_per_epoch)

    def _encode_stretched(self, piece: int, factor: float) -> npt.NDArray[np.int64]:
        entry, tokenizer = self._pieces[piece], self._tokenizer
        ids = self._store.ids(entry)
        if factor != 1.0:
            played = tokenizer.stored_performance(ids, self._store.notes(entry))
            ids = tokenizer.encode(stretched(played, factor))
        return with_bos_eos(ids, tokenizer.vocabulary)
