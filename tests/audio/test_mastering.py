"""Levels: loudness as BS.1770 says, a limiter that never lets a peak through."""

import numpy as np
import pytest

from perceiver_music.audio.mastering import CEILING_DBFS, TARGET_LUFS, LevelMeter, decibels, master

RATE = 48_000


def sine(amplitude: float, *, frequency: float = 997.0, seconds: int = 5) -> np.ndarray:
    phase = 2 * np.pi * frequency * np.arange(seconds * RATE) / RATE
    wave = amplitude * np.sin(phase)
    return np.stack((wave, wave), axis=1).astype(np.float32)


def heard(block: np.ndarray) -> LevelMeter:
    meter = LevelMeter(RATE)
    meter.add(block)
    return meter


def test_a_sine_is_as_loud_as_the_standard_says() -> None:
    # 997 Hz at full scale in one channel is -3.01 LUFS; in two, 3.01 louder.
    assert heard(sine(1.0)).loudness() == pytest.approx(0.0, abs=0.1)
    assert heard(sine(0.1)).loudness() == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("amplitude", [0.001, 0.05, 0.9])
def test_steady_sound_comes_to_the_target(amplitude: float) -> None:
    block = sine(amplitude)
    mastered = master(heard(block), 0.0).apply(block, 0)
    assert heard(mastered).loudness() == pytest.approx(TARGET_LUFS, abs=0.2)


@pytest.mark.parametrize("gain_db", [0.0, 12.0, 40.0])
def test_peaks_stay_below_the_ceiling(gain_db: float) -> None:
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.random(50) ** 4, RATE // 10)[:, None]
    block = (sine(0.5) * envelope).astype(np.float32)
    mastered = master(heard(block), gain_db).apply(block, 0)
    assert decibels(float(np.abs(mastered).max())) <= CEILING_DBFS + 1e-4


def test_blocks_make_the_same_stream() -> None:
    block = sine(0.5)
    gains = master(heard(block), 20.0)
    whole = gains.apply(block, 0)
    half = len(block) // 2
    parts = np.concatenate((gains.apply(block[:half], 0), gains.apply(block[half:], half)))
    np.testing.assert_allclose(parts, whole, atol=1e-7)


def test_silence_stays_silence() -> None:
    block = np.zeros((RATE, 2), dtype=np.float32)
    assert not master(heard(block), 6.0).apply(block, 0).any()
