"""Training windows that are a gap to be filled, in the layout of `tokenizer.infilling`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import END, length_ids, prompt_ids, take_apart
from perceiver_music.tokenizer.performance_events import steps_before

Ids = npt.NDArray[np.int64]


def gap_window(
    sequence: Ids,
    last: int,
    rng: np.random.Generator,
    *,
    context: int,
    latents: int,
    seconds: tuple[float, float],
) -> tuple[Ids, npt.NDArray[np.bool_]] | None:
    """A gap that ends about token `last` of a piece, put as `tokenizer.infilling` puts it.

    The last latents lie on the middle; of one that is longer they lie somewhere in it, and where
    it is shorter they reach back to what comes before the gap, which counts too: what is seen
    there is the past alone. After the gap 32 to 512 events are shown, up to half of what there is
    room for.

    Args:
        sequence: a whole piece, BOS and EOS included.
        last: a token of it.
        rng: draws the gap's length and edge, and what is seen around it.
        context: tokens that the model is given.
        latents: how many are scored at most, the last ones.
        seconds: shortest and longest gap, drawn evenly on a logarithmic scale.

    Returns:
        the window, one longer than the inputs, and which of its tokens may be scored; None where
        the piece has no such gap, or one that the context cannot hold.
    """
    low = max(0, last - 1 - context)
    high = min(len(sequence) - 2, last + context)
    stretch = sequence[1 + low : 1 + high]
    shortest, longest = seconds
    length = shortest * (longest / shortest) ** rng.random()
    last_step = int(steps_before(stretch)[min(last - 1 - low, len(stretch) - 1)])
    last_step += int(rng.integers(v.MAX_SHIFT_STEPS // 2))
    first_step = last_step - round(length * v.STEPS_PER_SECOND)
    if first_step < 0:
        return None
    gap = take_apart(stretch, first_step, last_step)
    middle = np.append(gap.middle, END)
    # A long gap is cut where the scored tokens end, so that what is around it still has a place.
    longest_middle = context * 3 // 4
    scored = min(latents, longest_middle)
    if len(middle) > scored:
        middle = middle[: int(rng.integers(scored, min(len(middle), longest_middle) + 1))]
    room = context + 1 - len(middle) - 2 - len(length_ids(gap.num_steps))
    if room < 0:  # so long a gap that to say its length takes what the middle leaves
        return None
    after = gap.after if high < len(sequence) - 2 else np.append(gap.after, v.EOS)
    after = after[: min(room // 2, round(32 * 16 ** rng.random()))]
    before = gap.before if low else np.append(v.BOS, gap.before)
    before = before[max(0, len(before) - (room - len(after))) :]
    window = np.concatenate((prompt_ids(before, after, gap.num_steps), middle))
    may_score = np.zeros(len(window), dtype=np.bool_)
    may_score[-len(middle) :] = True
    may_score[1 : _end_of_events(before)] = True
    return window, may_score


def _end_of_events(before: Ids) -> int:
    """Where the TIME_SHIFTs begin that only lead to the gap: how long they are the gap decides."""
    is_shift = (before >= v.TIME_SHIFT) & (before < v.VELOCITY)
    events = np.flatnonzero(~is_shift)
    return int(events[-1]) + 1 if len(events) else 0
