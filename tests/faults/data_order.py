"""Promise 7: the order of the data is a pure function of seed and step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import NOT_SCORED, TrainingWindows, WindowConfig, with_bos_eos
from perceiver_music.training.distributed import Ranks
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

WINDOWS_PER_STEP = 4

HISTORIES = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from((1, 2, 4))), min_size=4, max_size=12
)
"""Stretches of a run: how many steps, by how many processes; between two lies a resume."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """`size` histories, each of which must see what one unbroken process sees."""
    store = TokenStore.open(workshop.store)

    @settings(
        max_examples=size,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**31), latents=st.sampled_from((8, 16, 24)), history=HISTORIES)
    def examine_one(seed: int, latents: int, history: list[tuple[int, int]]) -> None:
        why = _judge(store, seed, latents, history)
        ledger.enter(why is None, f"seed {seed}, {latents} latents, {history}", why)

    examine_one()


def _windows(store: TokenStore, seed: int, latents: int) -> TrainingWindows:
    config = WindowConfig(
        contexts=((0, 48),), latents=latents, windows_per_step=WINDOWS_PER_STEP, infill_share=0.0
    )
    return TrainingWindows(store, config, split="train", seed=seed)


def _judge(
    store: TokenStore, seed: int, latents: int, history: list[tuple[int, int]]
) -> str | None:
    """What was seen twice, or never, or in another place than by one process; or None."""
    unbroken = _windows(store, seed, latents)
    seen: list[Any] = []
    step = 0
    for num_steps, num_ranks in history:
        # A resumed process knows the seed and the step, nothing else.
        resumed = [_windows(store, seed, latents) for _ in range(num_ranks)]
        for step in range(step, step + num_steps):  # noqa: B020
            rows = [
                windows.batch(step, Ranks(rank=rank, world_size=num_ranks).rows(WINDOWS_PER_STEP))
                for rank, windows in enumerate(resumed)
            ]
            whole = unbroken.batch(step)
            for name in ("tokens", "targets"):
                parts = np.concatenate([getattr(part, name) for part in rows])
                if not np.array_equal(parts, getattr(whole, name)):
                    return f"{name} of step {step} differ with {num_ranks} processes"
            seen += list(np.concatenate([part.targets for part in rows]))
        step += 1
    return _missed_or_repeated(store, unbroken, seen)


def _missed_or_repeated(store: TokenStore, windows: TrainingWindows, seen: list[Any]) -> str | None:
    """Compare the targets of each whole epoch with the tokens of all pieces."""
    sequences = [with_bos_eos(store.ids(piece)) for piece in store.split("train")]
    expected = Counter(int(token) for sequence in sequences for token in sequence[1:])
    size = windows.windows_per_epoch
    epochs = len(seen) // size
    for epoch in range(epochs):
        targets = np.concatenate(seen[epoch * size : (epoch + 1) * size])
        found = Counter(targets[targets != NOT_SCORED].tolist())
        if found != expected:
            return f"epoch {epoch}: {(found - expected) or (expected - found)}"
    return None
