"""What a player knows without searching: the keys held and since when, the touch, the time.

All of it follows from the events up to a position, so none of it is news to a model that sees
them. But to find it, attention would have to pair every NOTE_OFF with its NOTE_ON and add up every
TIME_SHIFT; a small model spends much of its depth and of its training on that, and still forgets
notes. Here it is counted (docs/lab-book.md says what that is worth).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perceiver_music.model.event_layout import EventLayout
from perceiver_music.model.key_terms import NUM_HELD_TERMS, NUM_TERMS, key_terms
from perceiver_music.model.neighbours import NUM_ONSETS, last_onsets, neighbours

_STEPS_PER_SECOND = 100.0
_NO_EVENT = -1
_STEPS_PER_EVENT = 2.5
"""Of the gaps between what is around them: MAESTRO has 39 events a second."""
_FEW = 3 + NUM_ONSETS + (1 + NUM_ONSETS)
"""Numbers of a state that are not of a pitch."""


@dataclass(frozen=True)
class EventState:
    """The state after each of the last N positions of a window.

    Attributes:
        keys: `[batch, N, pitch, NUM_TERMS]`. The first `NUM_HELD_TERMS` are zero where the key is
            up, and 1 and functions of how long it has been down elsewhere; the others zero where
            the window has no onset of it, and 1 and functions of how long ago that was.
        velocity: `[batch, N]`: the bin in force, from 1; 0 for none.
        onsets: `[batch, N, 2]`: pitches of the last two onsets, from 1; 0 for none.
        number, time: `[batch, positions]`: where each position stands in the music: events and
            steps since the start of the window. See `event_state` for those of a prompt.
        neighbours: `[batch, positions, 3]`: see `neighbours`.
        is_after_gap: `[batch, positions]`: SUFFIX of a prompt, and what follows the gap.
    """

    keys: Float[Tensor, "batch latents pitch terms"]
    velocity: Int[Tensor, "batch latents"]
    onsets: Int[Tensor, "batch latents 2"]
    number: Int[Tensor, "batch positions"]
    time: Int[Tensor, "batch positions"]
    neighbours: Int[Tensor, "batch positions 3"]
    is_after_gap: Bool[Tensor, "batch positions"]


def event_state(
    tokens: Int[Tensor, "batch context"],
    layout: EventLayout,
    *,
    num_latents: int,
    visible: Bool[Tensor, "batch context"] | None = None,
) -> EventState:
    """Count the state of the last `num_latents` positions; number, time and neighbours of all.

    The part of an infilling prompt between SUFFIX and the middle is passed over: the middle goes on
    from what came before the gap. (For neighbours it is not: there a phrase is a phrase.) So is
    what is not visible. What follows the gap stands behind it, as long after what precedes it as
    the prompt's length says; so a prompt's keys depend on its end, and it must be seen whole.
    """
    around = neighbours(tokens, layout, visible)
    prompt = _PromptCount(tokens, layout)
    shift = tokens - layout.time_shift + 1
    shift = torch.where((shift >= 1) & (shift <= layout.num_shifts), shift, 0)
    is_counted = ~prompt.is_prompt
    if visible is not None:
        shift = shift * visible
        is_counted &= visible
    time = torch.where(is_counted, shift, 0).cumsum(-1)
    tokens = torch.where(is_counted, tokens, _NO_EVENT)
    number, place_time = _places(time, shift, prompt)
    first = tokens.shape[1] - num_latents
    onset = _last_place(tokens - layout.note_on, layout.num_pitches, first)
    release = _last_place(tokens - layout.note_off, layout.num_pitches, first)
    # Places count from 1, so that 0 is "never"; the time of "never" is not used.
    onset_time = time.gather(1, (onset - 1).clamp_min(0).flatten(1)).view_as(onset)
    age = (time[:, first:, None] - onset_time) / _STEPS_PER_SECOND
    velocity = _last_value(tokens - layout.velocity + 1, layout.num_velocities)[:, first:]
    return EventState(
        keys=key_terms(age, onset > release, onset > 0),
        velocity=velocity,
        onsets=last_onsets(tokens, layout)[:, first:],
        number=number,
        time=place_time,
        neighbours=around,
        is_after_gap=prompt.is_after,
    )


class _PromptCount:
    """Which tokens are a prompt: from SUFFIX to the last TIME_SHIFT of the gap's length.

    Attributes:
        num_suffixes, num_middles: SUFFIXes and MIDDLEs up to each token.
        num_lasts: tokens after a MIDDLE that can end a length: all but the longest shift.
        is_prompt: whether each token is one.
        is_after: whether each token is SUFFIX or follows the gap.
    """

    def __init__(self, tokens: Tensor, layout: EventLayout) -> None:
        is_middle = tokens == layout.middle
        is_last = (tokens != layout.time_shift + layout.num_shifts - 1) & ~is_middle
        self.num_suffixes = (tokens == layout.suffix).cumsum(-1)
        self.num_middles = is_middle.cumsum(-1)
        self.num_lasts = (is_last & (self.num_middles > 0)).cumsum(-1)
        is_length = (self.num_lasts == 0) | ((self.num_lasts == 1) & is_last)
        self.is_after = self.num_suffixes > self.num_middles
        self.is_prompt = self.is_after | (is_length & (self.num_middles > 0))


def _places(time: Tensor, shift: Tensor, prompt: _PromptCount) -> tuple[Tensor, Tensor]:
    """Number and time of each position in the music as it will be, the gap filled."""
    is_after = prompt.is_after
    gap = torch.where(prompt.is_prompt & ~is_after, shift, 0).sum(-1, keepdim=True)
    events = (gap / _STEPS_PER_EVENT).floor().to(gap.dtype)
    number = (~prompt.is_prompt).cumsum(-1) + is_after * (events + is_after.cumsum(-1))
    return number, time + is_after * (gap + torch.where(is_after, shift, 0).cumsum(-1))


def _last_place(values: Tensor, size: int, first: int) -> Tensor:
    """For each latent and each value below `size`, its last place so far: from 1, 0 for none."""
    place = torch.arange(1, values.shape[1] + 1, device=values.device)
    is_there = (values >= 0) & (values < size)
    before = torch.zeros(len(values), size, dtype=place.dtype, device=values.device)
    index = torch.where(is_there, values, 0)[:, :first]
    before.scatter_reduce_(1, index, torch.where(is_there, place, 0)[:, :first], "amax")
    kinds = torch.arange(size, device=values.device)
    here = torch.where(values[:, first:, None] == kinds, place[first:, None], 0)
    here[:, 0] = torch.maximum(here[:, 0], before)
    return here.cummax(1).values


def _last_value(values: Tensor, size: int) -> Tensor:
    """At each place the last value from 1 to `size` so far; 0 for none."""
    place = torch.arange(values.shape[1], device=values.device)
    is_there = (values >= 1) & (values <= size)
    last = torch.where(is_there, place, 0).cummax(1).values
    return torch.where(is_there, values, 0).gather(1, last)


class EventTracker:
    """The same state for one sequence, kept up to date event by event in a decode.

    An infilling prompt is given whole, at the start.
    """

    def __init__(self, tokens: Int[Tensor, "1 context"], layout: EventLayout) -> None:
        self._layout = layout
        state = event_state(tokens, layout, num_latents=1)
        self._number = int(state.number[0, -1])
        self._time = int(state.time[0, -1])
        self._velocity = int(state.velocity[0, -1])
        self._onsets = state.onsets[0, -1].tolist()
        self._neighbours = state.neighbours[0, -1].tolist()
        self._token = int(tokens[0, -1])
        is_held = state.keys[0, 0, :, 0] > 0
        is_struck = state.keys[0, 0, :, NUM_HELD_TERMS] > 0
        prompt = _PromptCount(tokens, layout)
        counted = torch.where(prompt.is_prompt, _NO_EVENT, tokens)
        place = _last_place(counted - layout.note_on, layout.num_pitches, tokens.shape[1] - 1)
        onset_time = state.time[0, (place[0, 0] - 1).clamp_min(0)]
        self._by_pitch = torch.stack((onset_time, is_held, is_struck))
        self._onset_time, self._is_held, self._is_struck = self._by_pitch

    def advance(self, token: int) -> None:
        """Take one token.

        Raises:
            ValueError: it belongs to a prompt.
        """
        layout = self._layout
        if token in (layout.suffix, layout.middle):
            raise ValueError("an infilling prompt is given whole, at the start of a decode")
        self._meet(token)
        self._number += 1
        if 0 <= token - layout.note_on < layout.num_pitches:
            pitch = token - layout.note_on
            self._is_held[pitch] = self._is_struck[pitch] = 1
            self._onset_time[pitch] = self._time
            self._onsets = [pitch + 1, self._onsets[0]]
        elif 0 <= token - layout.note_off < layout.num_pitches:
            self._is_held[token - layout.note_off] = 0
        elif 0 <= token - layout.time_shift < layout.num_shifts:
            self._time += token - layout.time_shift + 1
        elif 0 <= token - layout.velocity < layout.num_velocities:
            self._velocity = token - layout.velocity + 1

    def _meet(self, token: int) -> None:
        """Move on to the neighbours of `token`, of which the last token is one."""
        _, *onsets = self._neighbours
        pitch = self._token - self._layout.note_on
        if 0 <= pitch < self._layout.num_pitches:
            onsets = [pitch + 1, *onsets[: NUM_ONSETS - 1]]
        self._neighbours = [self._token + 1, *onsets]
        self._token = token

    def state(self) -> EventState:
        """The state after the last event, as of a window of one position."""
        size = count_numbers(self._layout)
        numbers = torch.empty(size, dtype=torch.int64, device=self._by_pitch.device)
        self.write(numbers)
        return state_of_numbers(numbers[None])

    def write(self, numbers: Int[Tensor, " numbers"]) -> None:
        """Put what `state_of_numbers` makes the state of into a row of memory."""
        few = [self._number, self._time, self._velocity, *self._onsets, *self._neighbours]
        numbers[:_FEW] = torch.tensor(few, device=numbers.device)
        numbers[_FEW:].view(3, -1).copy_(self._by_pitch)


def count_numbers(layout: EventLayout) -> int:
    """How many numbers `EventTracker.write` writes."""
    return _FEW + 3 * layout.num_pitches


def state_of_numbers(numbers: Int[Tensor, "batch numbers"]) -> EventState:
    """The states, each of a window of one position, that trackers have written."""
    by_pitch = numbers[:, None, _FEW:].unflatten(-1, (3, -1))
    onset_time, is_held, is_struck = by_pitch.unbind(-2)
    number, time, velocity = numbers[:, :3].split(1, dim=-1)
    age = (time[..., None] - onset_time) / _STEPS_PER_SECOND
    return EventState(
        keys=key_terms(age, is_held > 0, is_struck > 0),
        velocity=velocity,
        onsets=numbers[:, None, 3 : 3 + NUM_ONSETS],
        number=number,
        time=time,
        neighbours=numbers[:, None, 3 + NUM_ONSETS : _FEW],
        is_after_gap=torch.zeros_like(number, dtype=torch.bool),
    )


class EventReader(nn.Module):
    """Tells the latents of the counted state, and each key's own prospects of it.

    Prospects: how much likelier a key is struck or released next for its own state, with weights
    that each position chooses anew and all keys share.
    """

    def __init__(self, layout: EventLayout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.keys = nn.Linear(layout.num_pitches * NUM_TERMS, width, bias=False)
        self.velocity = nn.Embedding(layout.num_velocities + 1, width)
        self.onsets = nn.ModuleList(
            nn.Embedding(layout.num_pitches + 1, width) for _ in range(NUM_ONSETS)
        )
        self.rates = nn.Linear(width, NUM_TERMS + NUM_HELD_TERMS)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def inputs(self, state: EventState) -> Float[Tensor, "batch latents width"]:
        """What is added to the latents."""
        keys = state.keys.flatten(-2).to(self.velocity.weight.dtype)
        found = self.keys(keys) + self.velocity(state.velocity)
        for table, onset in zip(self.onsets, state.onsets.unbind(-1), strict=True):
            found = found + table(onset)
        return found

    def add_prospects(
        self,
        logits: Float[Tensor, "batch latents vocabulary"],
        x: Float[Tensor, "batch latents width"],
        state: EventState,
    ) -> Float[Tensor, "batch latents vocabulary"]:
        """Logits with those of NOTE_ON and NOTE_OFF moved by the state of their keys."""
        rates = self.rates(x).float()[..., None]
        moves = torch.zeros_like(logits)
        layout = self.layout
        on, off = layout.note_on, layout.note_off
        moves[..., on : on + layout.num_pitches] = (state.keys @ rates[..., :NUM_TERMS, :])[..., 0]
        held = state.keys[..., :NUM_HELD_TERMS]
        moves[..., off : off + layout.num_pitches] = (held @ rates[..., NUM_TERMS:, :])[..., 0]
        return logits + moves
