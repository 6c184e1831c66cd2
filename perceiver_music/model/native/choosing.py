"""The draw of an event in the native library: that of `generation.sampling`, faster."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.model.native.library import Draw, load_library, pointer

MOST_IDS: Final = 1024


def choose(
    logits: npt.NDArray[np.floating], allowed: npt.NDArray[np.bool_], how: Draw, random: float
) -> int | None:
    """An id by a random number in [0, 1).

    Args:
        logits: `[vocabulary]`.
        allowed: the same; some are.
        how: temperature and cuts.
        random: the number.

    Returns:
        the id; None where the library is not there or does not draw from such logits, and where
        these are not finite.

    Raises:
        ValueError: `allowed` is not of the logits.
    """
    if len(allowed) != len(logits):
        raise ValueError(f"{len(allowed)} ids are allowed or not, of {len(logits)}")
    library = load_library()
    if library is None or logits.dtype != np.float32:
        return None
    if not how.past_times <= len(logits) <= MOST_IDS:
        return None
    if logits.strides != (4,) or allowed.strides != (1,):
        return None
    drawn = library.pm_choose(pointer(logits), pointer(allowed), len(logits), how, random)
    return None if drawn < 0 else drawn
