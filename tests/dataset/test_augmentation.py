"""Variants stay on the piano, and the music within them stays itself."""

import numpy as np
import pytest

from perceiver_music.dataset.augmentation import (
    AugmentationConfig,
    stretched,
    vary_key_and_velocity,
)
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer import vocabulary
from perceiver_music.tokenizer import vocabulary as v


def chord(*pitches: int) -> np.ndarray:
    ons = [v.token_id("NOTE_ON", pitch) for pitch in pitches]
    offs = [v.token_id("NOTE_OFF", pitch) for pitch in pitches]
    shift = v.token_id("TIME_SHIFT", 50)
    return np.array([v.BOS, v.token_id("VELOCITY", 20), *ons, shift, *offs, v.EOS])


def shifts_of(ids: np.ndarray, config: AugmentationConfig) -> set[tuple[int, int]]:
    """(semitones, velocity bins) over many draws; everything else must have stayed."""
    seen = set()
    for seed in range(200):
        varied = vary_key_and_velocity(ids, np.random.default_rng(seed), config)
        change = varied - ids
        is_pitch = ids < v.TIME_SHIFT
        is_velocity = (ids >= v.VELOCITY) & (ids < v.NUM_EVENT_IDS)
        assert (change[~is_pitch & ~is_velocity] == 0).all()
        (semitones,) = set(change[is_pitch].tolist())
        (bins,) = set(change[is_velocity].tolist())
        seen.add((semitones, bins))
    return seen


def test_all_shifts_within_the_limits_occur() -> None:
    seen = shifts_of(chord(60, 64), AugmentationConfig(transpose=2, velocity_shift=1))
    assert seen == {(pitch, bins) for pitch in range(-2, 3) for bins in range(-1, 2)}


def test_shifts_that_would_leave_the_piano_are_not_drawn() -> None:
    config = AugmentationConfig(transpose=5)
    assert {pitch for pitch, _ in shifts_of(chord(22, 107), config)} == {-1, 0, 1}
    assert {pitch for pitch, _ in shifts_of(chord(10, 60), config)} == {0, 1, 2, 3, 4, 5}


def test_nothing_asked_nothing_varied() -> None:
    assert shifts_of(chord(60), AugmentationConfig()) == {(0, 0)}


def test_stretching_multiplies_every_time() -> None:
    notes = np.array([(1_000, 2_000, 60, 64), (4_000, 9_000, 62, 64)], dtype=NOTE_DTYPE)
    pedal = np.array([(500, 90), (3_000, 0)], dtype=PEDAL_DTYPE)
    longer = stretched(Performance(notes, pedal), 1.5)
    assert longer.notes["start_us"].tolist() == [1_500, 6_000]
    assert longer.notes["end_us"].tolist() == [3_000, 13_500]
    assert longer.pedal["time_us"].tolist() == [750, 4_500]
    assert notes["start_us"].tolist() == [1_000, 4_000]


def test_a_finer_vocabulary_is_shifted_by_its_own_values() -> None:
    table = vocabulary.PEDAL
    ids = np.array([table.token_id("VELOCITY", 127), table.token_id("PEDAL", 5), 60])
    config = AugmentationConfig(velocity_shift=3, transpose=0)
    shifted = {
        tuple(vary_key_and_velocity(ids, np.random.default_rng(i), config, table).tolist())
        for i in range(50)
    }
    top, pedal = table.token_id("VELOCITY", 127), table.token_id("PEDAL", 5)
    assert shifted == {(top - down, pedal, 60) for down in range(4)}


@pytest.mark.parametrize("fields", [{"transpose": -1}, {"stretch": ()}, {"stretch": (0.0,)}])
def test_impossible_limits_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"transpose|stretch"):
        AugmentationConfig(**fields)
