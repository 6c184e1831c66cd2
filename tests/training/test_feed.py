from __future__ import annotations

import numpy as np
import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import NOT_SCORED, WindowConfig
from perceiver_music.training.feed import window_batches

CONFIG = WindowConfig(latents=16, contexts=((0, 32), (5, 64)), windows_per_step=4)


@pytest.mark.parametrize("start", [0, 3])
def test_who_makes_the_windows_changes_nothing(tiny_store: TokenStore, start: int) -> None:
    by_workers = [
        window_batches(
            tiny_store, CONFIG, seed=7, rows=range(1, 3), steps=range(start, 8), workers=workers
        )
        for workers in (0, 2)
    ]
    seen = 0
    for alone, ahead in zip(*by_workers, strict=True):
        assert np.array_equal(alone.tokens, ahead.tokens)
        assert np.array_equal(alone.targets, ahead.targets)
        assert (alone.visible is None) == (ahead.visible is None)
        if alone.visible is not None and ahead.visible is not None:
            assert np.array_equal(alone.visible, ahead.visible)
        assert (ahead.targets != NOT_SCORED).any()
        seen += 1
    assert seen == 8 - start


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_without_music_to_train_on_is_refused_at_once(
    tiny_store: TokenStore, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(tiny_store, "split", lambda name: ())
    whole = {"rows": range(4), "steps": range(2)}
    with pytest.raises(ValueError, match="no piece"):
        window_batches(tiny_store, CONFIG, seed=7, workers=workers, **whole)
