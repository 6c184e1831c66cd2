"""What is to stop becomes slower and leads to the tonic; before that nothing is touched."""

import numpy as np

from perceiver_music.generation.winding_down import WindingDown
from perceiver_music.tokenizer import vocabulary as v

IN_D = [v.NOTE_ON + pitch for pitch in (38, 50, 54, 57, 61, 62, 64, 66, 67, 69, 71, 74)] * 8


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def test_nothing_is_touched_before() -> None:
    logits = np.zeros(v.VOCABULARY_SIZE)
    for progress in (0.0, 0.3, 0.6):
        assert WindingDown(IN_D, 0.6).adjusted(logits, progress) is logits


def test_it_slows_down_and_leads_to_the_tonic() -> None:
    winding_down, before = WindingDown(IN_D, 0.6), np.zeros(v.VOCABULARY_SIZE)
    onsets, waits = [], []
    for progress in (0.6, 0.7, 0.8, 0.9, 1.0):
        chances = softmax(winding_down.adjusted(before, progress))
        onsets.append(chances[v.NOTE_ON : v.NOTE_OFF].sum())
        times = chances[v.TIME_SHIFT : v.VELOCITY]
        waits.append((times * np.arange(1, len(times) + 1)).sum() / times.sum())
    assert (np.diff(onsets) < 0).all()
    assert (np.diff(waits) > 0).all()
    keys = chances[v.NOTE_ON : v.NOTE_OFF]
    assert keys[38] > keys[45] == keys[62] > keys[60] == keys[37]
    assert not before.any()


def test_where_nothing_was_played_there_is_no_tonic() -> None:
    keys = WindingDown([v.BOS], 0.5).adjusted(np.zeros(v.VOCABULARY_SIZE), 1.0)[: v.NOTE_OFF]
    assert (keys == keys[0]).all()
