"""How loud a rendering becomes: measured in one pass, applied in a second.

The level aimed at is -18 LUFS with peaks at most -1 dBFS, whichever is reached first, so that
soft and loud pieces, small and big SoundFonts come out alike. What the user adds with a gain may
push peaks above the ceiling; a look-ahead limiter then holds them down. Nothing ever clips.

Loudness is the integrated loudness of ITU-R BS.1770-4: K-weighting, 400 ms windows that overlap
by three quarters, two gates. The weighting is done in the frequency domain, a tenth of a second
at a time, instead of with its recursive filters: the same to a few hundredths of a decibel, and
vectorised.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TARGET_LUFS = -18.0
CEILING_DBFS = -1.0
"""Lossy formats and converters overshoot samples a little; this leaves them room."""

SEGMENTS_PER_WINDOW = 4
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
LOUDNESS_OFFSET = -0.691
"""BS.1770's constant, which makes a 997 Hz sine of 0 dBFS in one channel -3.01 LUFS."""

STEPS_PER_SEGMENT = 10
"""The limiter follows the peaks of every hundredth of a second."""
LOOK_AROUND_STEPS = 4
"""How many of them its gain takes to come down before a peak and to come up after it."""


@dataclass
class LevelMeter:
    """Peaks and weighted powers of a stereo stream, kept as a few numbers a second.

    Args:
        sample_rate: frames a second, a multiple of 100.
    """

    sample_rate: int
    _peaks: list[Floats] = field(default_factory=list)
    _powers: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._segment = self.sample_rate // 10
        self._power_weights = k_weighting_power(self.sample_rate, self._segment) * 2
        self._power_weights[[0, -1]] /= 2
        self._power_weights /= self._segment**2

    def add(self, block: Floats) -> None:
        """Take in `[frames, 2]`, a whole number of tenths of a second."""
        step = self._segment // STEPS_PER_SEGMENT
        self._peaks.append(np.abs(block).reshape(-1, step * 2).max(axis=1))
        segments = block.reshape(-1, self._segment, 2)
        spectrum = np.fft.rfft(segments, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        self._powers.append(np.einsum("sfc,f->s", power, self._power_weights))

    @property
    def peak(self) -> float:
        """The highest sample; 0 when all is silent."""
        return max((float(peaks.max()) for peaks in self._peaks), default=0.0)

    @property
    def step_peaks(self) -> Floats:
        """The highest sample of every hundredth of a second."""
        return np.concatenate(self._peaks)

    def loudness(self) -> float:
        """Integrated loudness in LUFS, gated as if the highest peak were 0 dBFS.

        The gates hold absolute levels, and a stream not yet brought to its level may lie below.
        """
        segments = np.concatenate(self._powers) / self.peak**2
        sums = np.convolve(segments, np.ones(SEGMENTS_PER_WINDOW), "valid")
        windows = np.maximum(sums / SEGMENTS_PER_WINDOW, 1e-20)
        loud = windows[_lufs(windows) > ABSOLUTE_GATE_LUFS]
        loud = loud[_lufs(loud) > _lufs(loud.mean()) + RELATIVE_GATE_LU]
        return float(_lufs(loud.mean())) + decibels(self.peak)


@dataclass(frozen=True, kw_only=True)
class Master:
    """The gain over time that brings a measured stream to its level.

    Attributes:
        sample_rate: frames a second.
        gains: the gain at every hundredth of a second, its end included; straight between.
    """

    sample_rate: int
    gains: npt.NDArray[np.float64]

    def apply(self, block: Floats, first_frame: int) -> Floats:
        """The block with its gain; `first_frame` says where in the stream it starts."""
        step = self.sample_rate // (10 * STEPS_PER_SEGMENT)
        first = first_frame // step
        gains = self.gains[first : first + len(block) // step + 1]
        if gains.min() == gains.max():
            return block * np.float32(gains[0])
        ramp = np.arange(step) / step
        curve = gains[:-1, None] * (1 - ramp) + gains[1:, None] * ramp
        return (block * curve.reshape(-1, 1)).astype(np.float32)


def master(meter: LevelMeter, gain_db: float) -> Master:
    """Choose the gain of a measured stream.

    Args:
        meter: has heard all of it.
        gain_db: what the user wants above or below the usual level.
    """
    peaks = meter.step_peaks
    if meter.peak == 0:
        return Master(sample_rate=meter.sample_rate, gains=np.ones(len(peaks) + 1))
    normal = min(TARGET_LUFS - meter.loudness(), CEILING_DBFS - decibels(meter.peak))
    gain = 10 ** ((normal + gain_db) / 20)
    ceiling = 10 ** (CEILING_DBFS / 20)
    allowed = np.minimum(1, ceiling / np.maximum(peaks * gain, ceiling))
    return Master(sample_rate=meter.sample_rate, gains=gain * _smoothed_below(allowed))


def k_weighting_power(sample_rate: int, num_frames: int) -> npt.NDArray[np.float64]:
    """Squared magnitude of BS.1770's K-weighting at the frequencies of a real FFT.

    The two filters are stated for 48 kHz; their analogue parameters, which give the stated
    coefficients there and the same curve at other rates, are libebur128's.
    """
    z = np.exp(-2j * np.pi * np.arange(num_frames // 2 + 1) / num_frames)
    k = np.tan(np.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    numerator = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    denominator = (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)
    shelf = _biquad(numerator, z) / _biquad(denominator, z)
    k = np.tan(np.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    high_pass = _biquad((scale, -2 * scale, scale), z) / _biquad(
        (scale, 2 * (k * k - 1), 1 - k / q + k * k), z
    )
    return np.abs(shelf * high_pass) ** 2


def decibels(amplitude: float) -> float:
    """An amplitude's level; minus infinity for none."""
    return float(20 * np.log10(amplitude)) if amplitude > 0 else float("-inf")


def _biquad(
    coefficients: tuple[float, float, float], z: npt.NDArray[np.complex128]
) -> npt.NDArray[np.complex128]:
    return coefficients[0] + coefficients[1] * z + coefficients[2] * z * z


def _lufs(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return LOUDNESS_OFFSET + 10 * np.log10(power)


def _smoothed_below(allowed: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A gain at each edge between steps, smooth, that exceeds nowhere what the steps allow.

    Each edge gets an average of minima, and each of those minima covers the steps on both its
    sides. A straight line between two edges that stay below a step's allowance does so too.
    """
    if allowed.min() == 1:
        return np.ones(len(allowed) + 1)
    width = 2 * LOOK_AROUND_STEPS
    padded = np.pad(allowed, width, constant_values=1.0)
    minima = np.lib.stride_tricks.sliding_window_view(padded, width).min(axis=1)
    means = np.lib.stride_tricks.sliding_window_view(minima, width - 1).mean(axis=1)
    return means[1 : len(allowed) + 2]
