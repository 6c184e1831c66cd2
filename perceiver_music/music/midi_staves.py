"""Where new notes stand in a copy of a file: in the track of most notes, or in those of two hands.

A score for piano has a track for each hand: the two whose names say so or are the same, or the
only two that play the instrument of most notes. Where a pitch parts their notes near the new
music, it parts the new ones, too.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from perceiver_music.music.midi_file import SEQUENCE_NAME, MidiFile
from perceiver_music.music.performance import MICROSECONDS
from perceiver_music.music.piano_part import PROGRAM_CHANGE

_NEAR_US: Final = 30 * MICROSECONDS
_FEWEST_NOTES: Final = 4
_CLEAR: Final = 0.8
"""So large a share of each hand's notes, in the mean, is on its own side of the pitch."""

_HANDS: Final = (
    re.compile(r"\b(right|rh|r\.\s?h|upper|treble)\b"),
    re.compile(r"\b(left|lh|l\.\s?h|lower|bass clef)\b"),
)


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
        main: the one with most notes of the file, or the busier hand.
    """

    lower: Place
    upper: Place
    lowest_upper: int
    main: Place

    @property
    def of_channel(self) -> dict[int, Place]:
        """One place for each channel that the notes are played on: the main one where it can be."""
        return {place.channel: place for place in (*self.places, self.main)}

    @property
    def channels(self) -> tuple[int, ...]:
        """What the notes are played on."""
        return tuple(self.of_channel)

    @property
    def places(self) -> tuple[Place, ...]:
        """All of them, each once."""
        return tuple(sorted({self.lower, self.upper, self.main}))

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
    places = _hands(file, main, from_us)
    if places is None:
        return one_staff(main)
    starts = file.performance.notes["start_us"]
    is_near = (starts >= from_us - _NEAR_US) & (starts < to_us + _NEAR_US)
    pitches, near = file.performance.notes["pitch"][is_near], file.note_ticks[is_near]
    hands = [
        pitches[(near["track"] == place.track) & (near["channel"] == place.channel)]
        for place in places
    ]
    if min(map(len, hands)) < _FEWEST_NOTES:
        return one_staff(main)
    is_in_order = np.median(hands[0]) <= np.median(hands[1])
    low, high = (0, 1) if is_in_order else (1, 0)
    lowest_upper = _parting(hands[low], hands[high])
    if lowest_upper is None:
        return one_staff(main)
    pedal_hand = main if main in places else places[int(len(hands[1]) > len(hands[0]))]
    return Staves(lower=places[low], upper=places[high], lowest_upper=lowest_upper, main=pedal_hand)


def _hands(file: MidiFile, main: Place, at_us: int) -> tuple[Place, Place] | None:
    """The places of two hands in the whole file, if it has them."""
    names, programs = _names(file), _programs(file, at_us)
    pairs = np.unique(file.note_ticks[["track", "channel"]]).tolist()
    places = [
        place
        for place in (Place(*pair) for pair in pairs)
        if programs.get(place.channel, 0) == programs.get(main.channel, 0)
    ]
    named = [[p for p in places if hand.search(names.get(p.track, ""))] for hand in _HANDS]
    if [len(found) for found in named] == [1, 1]:
        return named[0][0], named[1][0]
    if len(places) > 2:  # a voice or a bass beside "Piano" and "Piano"
        owners = Counter(names.get(place.track, "") for place in places)
        places = [p for p in places if owners[names.get(p.track, "")] == 2 and names.get(p.track)]
        return (places[0], places[1]) if len(places) == 2 else None
    return (places[0], places[1]) if len(places) == 2 and main in places else None


def _names(file: MidiFile) -> dict[int, str]:
    """The first name of each track that has one."""
    names: dict[int, str] = {}
    for meta in file.other_metas:
        if meta.kind == SEQUENCE_NAME:
            names.setdefault(meta.track, meta.data.decode("latin-1").lower())
    return names


def _parting(low: npt.NDArray[np.uint8], high: npt.NDArray[np.uint8]) -> int | None:
    """The lowest pitch of the upper hand; None where there is no clear one."""
    below = np.arange(129)[:, None]
    own_side = ((low < below).mean(axis=1) + (high >= below).mean(axis=1)) / 2
    best = np.flatnonzero(own_side == own_side.max())
    return int(best[len(best) // 2]) if own_side.max() >= _CLEAR else None


def _programs(file: MidiFile, at_us: int) -> dict[int, int]:
    """The instruments of the channels at a moment, where one was chosen; the piano is number 0."""
    events = file.channel_events
    chosen = events[(events["status"] >> 4 == PROGRAM_CHANGE) & (events["time_us"] <= at_us)]
    return dict(zip((chosen["status"] & 0x0F).tolist(), chosen["data1"].tolist(), strict=True))
