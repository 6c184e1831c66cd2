"""A gap in a performance as the beginning of the music that is to fill it.

The prompt is that of `tokenizer.infilling`: before, after, the gap's length. The grammar sees to
the rest: no time passes the gap's last moment, and there everything new is released; that moment
is the END of the middle, which therefore need not be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from perceiver_music.errors import UsageError
from perceiver_music.generation.joining import NUM_EVENTS_AFTER
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.primer import Opening, Window, opening_of
from perceiver_music.music.performance import MICROSECONDS, NoteArray, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import Ids, length_ids, prompt_ids
from perceiver_music.tokenizer.performance_events import encode_notes

SHORTEST_US: Final = 50_000
LONGEST_US: Final = 120 * MICROSECONDS
"""More than this no training window holds (`WindowConfig.infill_seconds`)."""

_NEAR_US = 30 * MICROSECONDS
_RESTRIKE_US = 300_000
_DENSER = 1.5
"""The middle may become so much denser than what is around it before anything must be forgotten."""
_LARGEST_MIDDLE = 0.75
_SHARE_AFTER, _LARGEST_SHARE_AFTER = 0.3, 0.5
"""Of the room around the middle."""


@dataclass(frozen=True, kw_only=True)
class GapOpening:
    """A gap, ready to be filled.

    Attributes:
        opening: the whole prompt, and what sounds at the gap's first moment.
        num_steps: the gap's length; the rest of a step at its end stays silent.
    """

    opening: Opening
    num_steps: int


def gap_latents(latents: int) -> int:
    """How many latents fill a gap, of a checkpoint that was trained with so many.

    What comes after the gap stands between the middle and what came before it. Twice as many reach
    back over it, so that the middle goes on from music that the stack has worked on
    (docs/lab-book.md).
    """
    return 2 * latents


def most_after(latents: int) -> int:
    """Events after a gap that are shown where it is filled with so many latents.

    A decode starts with half of its latents; half of these lie on what comes after and half on
    what came before.
    """
    return max(1, latents // 4)


def choose_gap(performance: Performance, from_seconds: float, to_seconds: float) -> Window:
    """The gap that the user asked for.

    Raises:
        UsageError: it is empty, too long, or begins after the music has ended.
    """
    gap = Window(from_us=round(from_seconds * MICROSECONDS), to_us=round(to_seconds * MICROSECONDS))
    between = f"--between {from_seconds:g} {to_seconds:g}"
    if gap.to_us - gap.from_us < SHORTEST_US:
        raise UsageError(
            f"{between}: there is no room for music",
            hint=f"The second moment is at least {SHORTEST_US / MICROSECONDS:g} s after the first.",
        )
    if gap.to_us - gap.from_us > LONGEST_US:
        raise UsageError(
            f"{between}: more than {LONGEST_US // MICROSECONDS} s of music",
            hint="Fill it in parts, or use `perceiver-music continue`.",
        )
    heard_end = int(apply_sustain(performance).end_us)
    if gap.from_us >= heard_end:
        raise UsageError(
            f"{between}: the music has ended before",
            hint=f"It is {heard_end / MICROSECONDS:.1f} s long; "
            "`perceiver-music continue` goes on from its end.",
        )
    return gap


def opening_and_limits(
    performance: Performance, gap: Window, *, context: int, latents: int, keeps_joint: bool
) -> tuple[Opening, Limits]:
    """What the model sees, and where the middle ends.

    Where no key is struck behind the gap, and none is held over it, there is nothing to arrive at:
    it is the piece's last part, and its end is looked for.

    Args:
        performance: the whole file.
        gap: from `choose_gap`.
        context: tokens that a prediction may see.
        latents: how many of them may go through the stack.
        keeps_joint: of `SamplingOptions`.
    """
    is_last_part = not (performance.notes["start_us"] >= gap.to_us).any()
    if keeps_joint and is_last_part and not _held_over(performance, gap).size:
        before = opening_of(performance, Window(from_us=0, to_us=gap.from_us))
        return before, Limits(end_step=_num_steps(gap), is_ending_allowed=True)
    found = gap_opening(performance, gap, context=context, latents=latents)
    return found.opening, Limits(end_step=found.num_steps)


def _num_steps(gap: Window) -> int:
    return (gap.to_us - gap.from_us) // v.MICROSECONDS_PER_STEP


def gap_opening(performance: Performance, gap: Window, *, context: int, latents: int) -> GapOpening:
    """The prompt of a gap, cut so that it leaves room for the middle.

    Args:
        performance: the whole file.
        gap: from `choose_gap`.
        context: tokens that a prediction may see.
        latents: how many of them may go through the stack.
    """
    num_steps = _num_steps(gap)
    opening = opening_of(performance, Window(from_us=0, to_us=gap.from_us))
    before = np.array(opening.before, dtype=np.int64)
    after = _events_after(performance, gap.to_us)
    room = context - 2 - len(length_ids(num_steps)) - _events_to_expect(performance, gap, context)
    before, after = share_room(before, after, max(0, room), most_after(latents))
    locked = frozenset(int(pitch) for pitch in _held_over(performance, gap)["pitch"])
    sounding = {pitch: min(step, num_steps) for pitch, step in opening.sounding.items()}
    sounding |= dict.fromkeys(sorted(locked), num_steps)
    tokens = tuple(int(token) for token in prompt_ids(before, after, num_steps))
    return GapOpening(
        opening=replace(
            opening,
            tokens=tokens,
            sounding=sounding,
            locked=locked,
            reserved=_reserved(performance, gap),
            waited=0,
            after=tuple(int(token) for token in after[:NUM_EVENTS_AFTER]),
        ),
        num_steps=num_steps,
    )


def _held_over(performance: Performance, gap: Window) -> NoteArray:
    """Notes whose keys are down from before the gap until after it."""
    notes = performance.notes
    is_over = (notes["start_us"] < gap.from_us) & (notes["end_us"] >= gap.to_us)
    return np.asarray(notes[is_over])


def _reserved(performance: Performance, gap: Window) -> dict[int, int]:
    """Pitch -> the step of the gap from which its key is left to the first note after the gap.

    A key that is struck again sooner than anywhere near the gap sounds like a stumble.
    """
    notes = performance.notes
    start = notes["start_us"]
    is_near = (start >= gap.from_us - _NEAR_US) & (start < gap.to_us + _NEAR_US)
    is_near &= (start < gap.from_us) | (start >= gap.to_us)
    soonest = _RESTRIKE_US
    for pitch in np.unique(notes["pitch"][is_near]):
        again = np.diff(np.sort(start[is_near & (notes["pitch"] == pitch)]))
        soonest = min(soonest, int(again[again > 0].min(initial=soonest)))
    is_next = (start >= gap.to_us) & (start < gap.to_us + soonest)
    return {
        int(note["pitch"]): max(0, int(note["start_us"]) - soonest - gap.from_us)
        // v.MICROSECONDS_PER_STEP
        for note in notes[is_next][::-1]
    }


def share_room(before: Ids, after: Ids, room: int, most: int) -> tuple[Ids, Ids]:
    """The end of `before` and the beginning of `after` that fit together.

    What comes after gets 0.3 of the room, up to 0.5 where what came before leaves it, and never
    more than `most` events.
    """
    free = min(room - len(before), int(room * _LARGEST_SHARE_AFTER))
    after = after[: min(most, max(int(room * _SHARE_AFTER), free))]
    return before[max(0, len(before) - (room - len(after))) :], after


def _events_after(performance: Performance, from_us: int) -> Ids:
    """The events of the notes that begin from a moment on, counted from it, and the piece's end."""
    heard = apply_sustain(performance).notes
    later = heard[heard["start_us"] >= from_us].copy()
    for column in ("start_us", "end_us"):
        later[column] -= from_us
    return np.append(encode_notes(later).astype(np.int64), v.EOS)


def _events_to_expect(performance: Performance, gap: Window, context: int) -> int:
    """Places to keep free for the middle, after the density of the music on both sides."""
    notes = performance.notes
    start = notes["start_us"]
    is_near = (start >= gap.from_us - _NEAR_US) & (start < gap.to_us + _NEAR_US)
    near = notes[is_near & ~((start >= gap.from_us) & (start < gap.to_us))].copy()
    span_us = min(gap.from_us, _NEAR_US) + min(max(0, performance.end_us - gap.to_us), _NEAR_US)
    for column in ("start_us", "end_us"):
        near[column] -= max(0, gap.from_us - _NEAR_US)
    events = len(encode_notes(near))
    expected = _DENSER * events * (gap.to_us - gap.from_us) / max(span_us, MICROSECONDS)
    return min(int(context * _LARGEST_MIDDLE), max(64, int(expected)))
