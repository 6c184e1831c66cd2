"""Where new notes stand in a copy of a file: in the track of most notes, or in those of two hands.

A score for piano has a track for each hand. Where two tracks near the new music play the same
instrument and a pitch parts their notes, it parts the new ones, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_file import MidiFile
from perceiver_music.music.performance import MICROSECONDS
from perceiver_music.music.piano_part import PROGRAM_CHANGE

_NEAR_US: Final = 30 * MICROSECONDS
_FEWEST_NOTES: Final = 4
_CLEAR: Final = 0.8
"""So large a share of each hand's notes, in the mean, is on its own side of the pitch."""


class Place(NamedTuple):
    """A track, and a channel that it plays on."""

    track: int
    channel: int


@dataclass(frozen=True, kw_only=True)
class Staves:
    """Two places for notes, which may be the same.

    Attributes:
        lower, upper: for notes below a pitch, and from it on.
        lowest_upper: that pitch.
        main: the one with most notes of the file; the pedal's.
    """

    lower: Place
    upper: Place
    lowest_upper: int
    main: Place

    def place_of(self, pitch: int) -> Place:
        """Where a note stands."""
        return self.upper if pitch >= self.lowest_upper else self.lower


def one_staff(place: Place) -> Staves:
    """One place for all notes."""
    return Staves(lower=place, upper=place, lowest_upper=0, main=place)


ONE_STAFF: Final = one_staff(Place(0, 0))
"""All of track and channel 0."""


def main_place(file: MidiFile) -> Place:
    """The channel of most notes, so that its sound goes on, and the track of most of them."""
    channels, tracks = file.note_ticks["channel"], file.note_ticks["track"]
    if not len(channels):
        return Place(0, 0)
    channel = int(np.bincount(channels).argmax())
    return Place(int(np.bincount(tracks[channels == channel]).argmax()), channel)


def staves_at(file: MidiFile, from_us: int, to_us: int) -> Staves:
    """Where notes of new music stand that takes the place of what is between two moments."""
    main = main_place(file)
    one = one_staff(main)
    starts = file.performance.notes["start_us"]
    is_near = (starts >= from_us - _NEAR_US) & (starts < to_us + _NEAR_US)
    pitches, near = file.performance.notes["pitch"][is_near], file.note_ticks[is_near]
    places = {Place(*pair) for pair in np.unique(near[["track", "channel"]]).tolist()}
    if main not in places or len(places) != 2:
        return one
    (other,) = places - {main}
    if _program(file, other.channel, from_us) != _program(file, main.channel, from_us):
        return one
    is_main = (near["track"] == main.track) & (near["channel"] == main.channel)
    hands = {main: pitches[is_main], other: pitches[~is_main]}
    lower, upper = sorted(places, key=lambda place: (float(np.median(hands[place])), place))
    lowest_upper = _parting(hands[lower], hands[upper])
    if lowest_upper is None:
        return one
    return Staves(lower=lower, upper=upper, lowest_upper=lowest_upper, main=main)


def _parting(low: npt.NDArray[np.uint8], high: npt.NDArray[np.uint8]) -> int | None:
    """The lowest pitch of the upper hand; None where there is no clear one."""
    if min(len(low), len(high)) < _FEWEST_NOTES:
        return None
    below = np.arange(129)[:, None]
    own_side = ((low < below).mean(axis=1) + (high >= below).mean(axis=1)) / 2
    best = np.flatnonzero(own_side == own_side.max())
    return int(best[len(best) // 2]) if own_side.max() >= _CLEAR else None


def _program(file: MidiFile, channel: int, at_us: int) -> int:
    """The instrument of a channel at a moment, which is the piano before any is chosen."""
    events = file.channel_events
    is_choice = (events["status"] == PROGRAM_CHANGE << 4 | channel) & (events["time_us"] <= at_us)
    chosen = events["data1"][is_choice]
    return int(chosen[-1]) if len(chosen) else 0
