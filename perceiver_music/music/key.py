"""Which of the 24 keys music is in (Krumhansl, Cognitive Foundations of Musical Pitch, 1990)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Krumhansl and Kessler (1982), probe-tone ratings, from the tonic up.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def estimated_key(histogram: npt.ArrayLike) -> str:
    """The key whose profile correlates best with a pitch-class histogram."""
    names = [f"{name} {mode}" for mode in ("major", "minor") for name in _NAMES]
    return names[int(np.argmax(key_fits(histogram)))]


def key_fits(histogram: npt.ArrayLike) -> Floats:
    """Correlation with the profiles of the 24 keys: C major to B major, C minor to B minor.

    Args:
        histogram: `[12]`, from C; any scale.
    """
    found = np.asarray(histogram, dtype=np.float64)
    profiles = np.array(
        [np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]
    )
    if np.ptp(found) == 0:
        return np.zeros(len(profiles))
    profiles -= profiles.mean(axis=1, keepdims=True)
    deviation = found - found.mean()
    lengths = np.linalg.norm(profiles, axis=1) * np.linalg.norm(deviation)
    return np.asarray(profiles @ deviation / lengths)
