"""A part of a performance as the beginning that a model goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.generation.grid_keeper import StepGrid
from perceiver_music.music.performance import MICROSECONDS, NoteArray, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.infilling import MIDDLE, SUFFIX
from perceiver_music.tokenizer.performance_events import encode_notes, shift_ids

_STEP_US = v.MICROSECONDS_PER_STEP
_FEWEST_NOTES: Final = 12
"""From fewer it cannot be heard what the music is like."""
_LONGEST_RING_US: Final = 10 * MICROSECONDS
"""Hardly ever is a last chord held longer by the pedal; there is not much left of it then."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of a file, in its microseconds: what is kept of a primer, or a gap to be filled."""

    from_us: int
    to_us: int


@dataclass(frozen=True, kw_only=True)
class PedalInForce:
    """Where the pedal stands when the new music begins.

    Attributes:
        value: of controller 64.
        lift_step: by when it comes up, in steps from there; None where it holds nothing.
    """

    value: int
    lift_step: int | None


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What the model sees before its first event.

    Attributes:
        tokens: BOS where the music begins, then the window's events, without the releases of
            what sounds on, and the whole TIME_SHIFTs up to its end.
        waited: steps from there to the window's very end, fewer than a whole TIME_SHIFT. They are
            not among the tokens: a model has never seen one time after another that is not whole,
            and would strike a key at once; the first event is a time of at least so much instead.
        sounding: pitch -> steps after the window's end at which it is released at latest.
        velocity_bin: the one in force, or None.
        locked: those of the sounding pitches that only their deadline releases.
        reserved: pitch -> the step of the new music from which its key is not to be struck.
        pedal: where it stands, for tokens that keep the pedal; None for those that do not.
        after: the first events behind a gap.
        grid: at whose lines the new music is to begin its notes; None for any moment.
        levels: the only MIDI velocities that there are to be; none for all.
    """

    tokens: tuple[int, ...]
    sounding: dict[int, int]
    velocity_bin: int | None
    locked: frozenset[int] = frozenset()
    reserved: Mapping[int, int] = field(default_factory=dict)
    pedal: PedalInForce | None = None
    waited: int = 0
    after: tuple[int, ...] = ()
    grid: StepGrid | None = None
    levels: tuple[int, ...] = ()

    @property
    def vocabulary(self) -> v.Vocabulary:
        """What the tokens mean."""
        return v.MAESTRO if self.pedal is None else v.PEDAL

    @property
    def is_of_gap(self) -> bool:
        """Whether the model sees what follows the new music, too: an infilling prompt."""
        return self.pedal is None and SUFFIX in self.tokens

    @property
    def before(self) -> tuple[int, ...]:
        """The events up to where the new music begins; of an infilling prompt only those."""
        if self.is_of_gap:
            return self.tokens[: self.tokens.index(SUFFIX)]
        return self.tokens + tuple(shift_ids(self.waited).tolist())

    @property
    def around(self) -> tuple[int, ...]:
        """The events that say what the new music is to be like: those before it, or `behind`."""
        return self.behind if self.is_bare else self.before

    @property
    def behind(self) -> tuple[int, ...]:
        """The events behind a gap, as far as the model is shown them."""
        return self.tokens[self.tokens.index(SUFFIX) + 1 : self.tokens.index(MIDDLE)]

    @property
    def is_bare(self) -> bool:
        """Whether it is of a gap that hardly anything is played before."""
        if not self.is_of_gap:
            return False
        num_notes = sum(v.NOTE_ON <= token < v.NOTE_OFF for token in self.before)
        return num_notes < _FEWEST_NOTES

    @property
    def lines_per_quarter(self) -> int | None:
        """Of the grid, if there is one."""
        return None if self.grid is None else self.grid.grid.lines_per_quarter

    @property
    def has_notes(self) -> bool:
        """Whether any key is struck before the new music."""
        return any(v.NOTE_ON <= token < v.NOTE_OFF for token in self.before)

    @property
    def num_events(self) -> int:
        """Events of music among the tokens; of an infilling prompt those before and after."""
        shown = self.tokens
        if self.pedal is None and MIDDLE in shown:
            shown = shown[: shown.index(MIDDLE)]
        return sum(token < self.vocabulary.num_event_ids for token in shown)


EMPTY_OPENING = Opening(tokens=(v.BOS,), sounding={}, velocity_bin=None)


def choose_window(
    performance: Performance,
    *,
    from_seconds: float | None = None,
    to_seconds: float | None = None,
    last_seconds: float | None = None,
) -> Window:
    """The window that the user asked for; without a word, all up to where the last note ends.

    A note that the pedal alone holds is over when strings have faded, however long the pedal is
    down; who names a later moment gets it.

    Raises:
        UsageError: it is empty, or begins after the music has ended.
        InvalidInputError: the music takes no time.
    """
    heard_end = int(apply_sustain(performance).end_us)
    faded = performance.end_us + _LONGEST_RING_US
    to_us = faded if to_seconds is None else round(to_seconds * MICROSECONDS)
    to_us = min(to_us, heard_end)
    from_us = 0 if from_seconds is None else round(from_seconds * MICROSECONDS)
    if last_seconds is not None:
        from_us = max(0, to_us - round(last_seconds * MICROSECONDS))
    if performance.num_notes and heard_end <= 0:
        raise InvalidInputError(
            "its tempo is so fast that its music takes no time",
            hint="Slow it down, or use `perceiver-music compose`.",
        )
    if performance.num_notes and from_us >= to_us:
        seconds = heard_end / MICROSECONDS
        hint = f"It is {seconds:.1f} s long; use some of that, or `perceiver-music compose`."
        if from_us >= heard_end:
            hint = f"It ends at {seconds:.1f} s; give a --from before that, or leave it out."
        elif to_seconds is None and last_seconds is None:
            hint = (
                f"New music would begin at {to_us / MICROSECONDS:.1f} s, where its last chord has "
                f"faded; give a --from before that, or a --to as well, up to {seconds:.1f} s."
            )
        given = {"--from": from_seconds, "--to": to_seconds, "--last": last_seconds}
        words = " ".join(f"{flag} {value:g}" for flag, value in given.items() if value is not None)
        raise UsageError(
            f"{words}: no music of the primer is left to go on from",
            hint=hint,
        )
    return Window(from_us=from_us, to_us=to_us)


def opening_of(performance: Performance, window: Window) -> Opening:
    """The events of a window, open at its end."""
    notes = notes_within(apply_sustain(performance).notes, window)
    seam_us = window.to_us - window.from_us
    is_held = notes["end_us"] > seam_us
    clipped = notes.copy()
    clipped["end_us"] = np.minimum(notes["end_us"], seam_us)
    ids = [int(token) for token in encode_notes(clipped)]
    seam_step = (seam_us + _STEP_US // 2) // _STEP_US
    held = notes[is_held]
    # The encoder has to end a note somewhere: these releases, at the very end, are not true.
    open_ids = without_last_releases(ids, {int(pitch) for pitch in held["pitch"]})
    whole_shifts, waited = time_up_to(seam_step, open_ids)
    open_ids += whole_shifts
    start = [v.BOS] if window.from_us == 0 else []
    velocities = [token for token in open_ids if token >= v.VELOCITY]
    sounding = {
        int(note["pitch"]): max(1, int(note["end_us"] - seam_us) // _STEP_US) for note in held
    }
    return Opening(
        tokens=tuple(start + open_ids) or (v.BOS,),
        sounding=sounding,
        velocity_bin=velocities[-1] - v.VELOCITY if velocities else None,
        waited=waited,
    )


def notes_within(notes: NoteArray, window: Window) -> NoteArray:
    """Notes that begin in the window, counted from its start."""
    starts = notes["start_us"]
    chosen = notes[(starts >= window.from_us) & (starts < window.to_us)].copy()
    chosen["start_us"] -= window.from_us
    chosen["end_us"] -= window.from_us
    return chosen


def without_last_releases(ids: list[int], held: set[int]) -> list[int]:
    """Remove the last NOTE_OFF of each held pitch."""
    kept = list(ids)
    for i in range(len(ids) - 1, -1, -1):
        pitch = ids[i] - v.NOTE_OFF
        if pitch in held:
            held = held - {pitch}
            del kept[i]
    # Shifts that led to a removed release are led on from the last event that is left.
    while kept and v.TIME_SHIFT <= kept[-1] < v.VELOCITY:
        kept.pop()
    return kept


def time_up_to(step: int, ids: list[int]) -> tuple[list[int], int]:
    """The whole TIME_SHIFTs from the end of some events to a step, and the steps left over."""
    whole, rest = divmod(max(0, step - step_after(ids)), v.MAX_SHIFT_STEPS)
    return shift_ids(whole * v.MAX_SHIFT_STEPS).tolist(), rest


def step_after(ids: list[int]) -> int:
    """The step at which some events end that begin at step 0."""
    return sum(t - v.TIME_SHIFT + 1 for t in ids if v.TIME_SHIFT <= t < v.VELOCITY)
