"""Training windows: every target once an epoch, the same for any number of ranks."""

from collections import Counter

import numpy as np
import pytest

from perceiver_music.dataset.augmentation import AugmentationConfig
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import (
    NOT_SCORED,
    TrainingWindows,
    WindowConfig,
    with_bos_eos,
)
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import END, MIDDLE, SUFFIX

PLAIN = WindowConfig(latents=16, contexts=((0, 48),), windows_per_step=4, short_context_share=0.0)


def windows_of(store: TokenStore, config: WindowConfig = PLAIN, seed: int = 3) -> TrainingWindows:
    return TrainingWindows(store, config, split="train", seed=seed)


def steps_per_epoch(windows: TrainingWindows) -> int:
    return -(-windows.windows_per_epoch // windows.config.windows_per_step)


def test_every_token_is_a_target_exactly_once_an_epoch(tiny_store: TokenStore) -> None:
    config = WindowConfig(
        latents=16, contexts=((0, 48),), windows_per_step=1, short_context_share=0.0
    )
    windows = windows_of(tiny_store, config)
    counted: Counter[int] = Counter()
    for step in range(windows.windows_per_epoch):
        targets = windows.batch(step).targets
        counted.update(targets[targets != NOT_SCORED].tolist())
    expected: Counter[int] = Counter()
    for piece in tiny_store.split("train"):
        expected.update(with_bos_eos(tiny_store.ids(piece))[1:].tolist())
    assert counted == expected


def test_windows_are_cut_from_the_pieces(tiny_store: TokenStore) -> None:
    pieces = [with_bos_eos(tiny_store.ids(p)).tolist() for p in tiny_store.split("train")]
    texts = [" ".join(map(str, piece)) + " " for piece in pieces]
    windows = windows_of(tiny_store)
    lengths = set()
    for step in range(steps_per_epoch(windows)):
        batch = windows.batch(step)
        visible = batch.visible if batch.visible is not None else batch.tokens >= 0
        for tokens, shown, targets in zip(batch.tokens, visible, batch.targets, strict=True):
            seen = tokens[shown].tolist()
            scored = targets[targets != NOT_SCORED].tolist()
            if not scored:
                continue
            lengths.add(len(seen))
            text = " ".join(map(str, [*seen, scored[-1]])) + " "
            assert any(text in whole for whole in texts)
            # The targets are the tokens after the inputs, one to one.
            assert (tokens[-len(scored) + 1 :] == scored[:-1]).all() or len(scored) == 1
    assert min(lengths) <= 16 < 48 == max(lengths)


def test_starts_and_ends_of_pieces_are_there(tiny_store: TokenStore) -> None:
    windows = windows_of(tiny_store)
    batches = [windows.batch(step) for step in range(steps_per_epoch(windows))]
    assert sum((batch.tokens == v.BOS).sum() for batch in batches) >= 3
    assert sum((batch.targets == v.EOS).sum() for batch in batches) == 3
    assert all((batch.targets != v.PAD).all() for batch in batches)


def test_a_batch_is_the_same_whoever_draws_it(tiny_store: TokenStore) -> None:
    config = WindowConfig(
        latents=16,
        contexts=((0, 32), (5, 48)),
        windows_per_step=4,
        short_context_share=0.5,
        prefix_dropout=0.3,
        augmentation=AugmentationConfig(transpose=3, velocity_shift=2, stretch=(0.9, 1.0, 1.1)),
    )
    for step in (0, 4, 5, 40):
        whole = windows_of(tiny_store, config).batch(step)
        ranks = [windows_of(tiny_store, config).batch(step, range(r, r + 2)) for r in (0, 2)]
        assert (np.concatenate([rank.tokens for rank in ranks]) == whole.tokens).all()
        assert (np.concatenate([rank.targets for rank in ranks]) == whole.targets).all()
        assert whole.tokens.shape == (4, 32 if step < 5 else 48)


def test_contexts_grow_by_steps() -> None:
    config = WindowConfig(latents=16, contexts=((0, 32), (5, 48), (9, 40)))
    assert [config.context_at(step) for step in (0, 4, 5, 8, 9)] == [32, 32, 48, 48, 40]
    assert [config.longest_before(step) for step in (0, 1, 5, 6, 10)] == [32, 32, 32, 48, 48]


def test_seeds_and_steps_differ(tiny_store: TokenStore) -> None:
    batch = windows_of(tiny_store).batch(0)
    assert (batch.tokens != windows_of(tiny_store, seed=4).batch(0).tokens).any()
    assert (batch.tokens != windows_of(tiny_store).batch(1).tokens).any()


def test_short_contexts_and_prefix_dropout_spare_the_latents(tiny_store: TokenStore) -> None:
    config = WindowConfig(
        latents=16,
        contexts=((0, 48),),
        windows_per_step=8,
        short_context_share=1.0,
        prefix_dropout=0.5,
    )
    windows = windows_of(tiny_store, config)
    shares = []
    for step in range(windows.windows_per_epoch // 8):
        batch = windows.batch(step)
        assert batch.visible is not None
        for tokens, shown in zip(batch.tokens, batch.visible, strict=True):
            size = int((tokens != v.PAD).sum())
            assert shown[-min(16, max(size, 1)) :].all() or size == 0
            if size == 48:
                shares.append(shown[:32].mean())
    assert 0.1 < np.mean(shares) < 0.4  # half is cut on average, and half of the rest dropped


def test_a_split_without_pieces_is_refused(
    tiny_store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_store, "pieces", ())
    with pytest.raises(ValueError, match="no piece"):
        windows_of(tiny_store)


@pytest.mark.parametrize(
    "fields",
    [
        {"contexts": ()},
        {"contexts": ((5, 1024),)},
        {"contexts": ((0, 100),)},
        {"windows_per_step": 0},
        {"prefix_dropout": 1.0},
    ],
)
def test_configurations_that_do_not_fit_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"contexts|latents|windows_per_step|prefix_dropout"):
        WindowConfig(**fields)


def test_gaps_to_be_filled(tiny_store: TokenStore) -> None:
    config = WindowConfig(
        latents=16, contexts=((0, 96),), infill_share=1.0, infill_seconds=(0.5, 4.0)
    )
    windows = windows_of(tiny_store, config)
    seen = ended = 0
    for step in range(20):
        batch = windows.batch(step)
        for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
            if MIDDLE not in tokens:
                continue
            seen += 1
            assert SUFFIX in tokens[: int(np.flatnonzero(tokens == MIDDLE)[0])]
            scored = targets[targets != NOT_SCORED]
            assert not np.isin(scored, (SUFFIX, MIDDLE, v.PAD, v.BOS)).any()
            ended += int(scored[-1] == END)
    assert seen > 40
    assert ended > 20


def test_plain_windows_are_the_same_without_gaps(tiny_store: TokenStore) -> None:
    batch = windows_of(tiny_store).batch(1)
    assert not np.isin(batch.tokens, (SUFFIX, MIDDLE, END)).any()
