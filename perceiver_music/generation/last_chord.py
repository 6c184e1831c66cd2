"""The chord that a piece might end with: which keys ring on, and how well they suit its key.

What is counted, and how much, is what the last chords of MAESTRO's training split have in common.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perceiver_music.music.key import key_fits
from perceiver_music.tokenizer import vocabulary as v

Pitches = npt.NDArray[np.int64]

LET_GO_STEPS: Final = 30
"""After which what does not belong to the last chord is let go; if a key is to be struck, it is
within them."""
_TOGETHER_STEPS = 12
_AGAIN_STEPS = 40
"""In so short a time no key is struck twice by a last chord; it would be a stutter."""
_KEY_ONSETS = 300
"""The key is that of the whole piece and of so many notes before the last chord, half a minute of
them. By 50 notes alone it is named as well, but where many ends are tried, one will be found
whose last bars are all of one chord, which is taken for the tonic."""
_BASS_BELOW = 48
"""Notes below it count twice in the key."""
_TONIC, _TRIAD, _LOW, _FULL, _KEY = 6.0, 4.0, 3.0, 1.0, 1.5
_MIDDLE_C = 60
_FULL_CHORD = 3
"""Pitch classes; six in ten last chords have as many. Three in 100 have no key below middle C."""
_ENOUGH_KEYS = 4
"""One key alone is the last chord of four pieces in 100, two of five."""


@dataclass(frozen=True, kw_only=True)
class Tonic:
    """The chord that a piece would end with."""

    root: int
    triad: frozenset[int]

    @classmethod
    def of(cls, pitches: npt.ArrayLike) -> Tonic:
        """That of the key that a piece is in, and its last notes more than others.

        Args:
            pitches: `[notes]`, MIDI note numbers, in order.
        """
        notes = np.asarray(pitches)
        fits = _key_fits(notes) + _key_fits(notes[-_KEY_ONSETS:])
        mode, root = divmod(int(np.argmax(fits)), 12)
        third = 3 if mode else 4
        return cls(root=root, triad=frozenset({root, (root + third) % 12, (root + 7) % 12}))

    def leaning(self) -> npt.NDArray[np.float64]:
        """Which keys lead towards it, `[128]`: those of its triad, most its root in the bass."""
        pitches = np.arange(128)
        is_of_it = np.isin(pitches % 12, list(self.triad))
        is_bass = (pitches % 12 == self.root) & (pitches < _MIDDLE_C)
        return is_of_it.astype(np.float64) + is_bass

    def suits(self, pitches: Collection[int]) -> float:
        """How much more than another a chord of these keys counts as the last one."""
        classes = {pitch % 12 for pitch in pitches}
        bass = min(pitches)
        return (
            _TONIC * (bass % 12 == self.root)
            + _TRIAD * (classes <= self.triad)
            + _LOW * (bass < _MIDDLE_C)
            + _FULL * (len(classes) >= _FULL_CHORD)
            + _KEY * min(len(pitches), _ENOUGH_KEYS)
        )


@dataclass(frozen=True, kw_only=True)
class LastChord:
    """How a piece would ring out.

    Attributes:
        ends: pitch -> step at which it is let go, of each key that sounds.
        suits: how well what rings on suits the key.
    """

    ends: dict[int, int]
    suits: float


class LastChords:
    """Finds the chord that music might end with now.

    Args:
        tokens: the music up to its last part.
        ring_steps: how long a last chord rings.
    """

    def __init__(self, tokens: Sequence[int], ring_steps: int) -> None:
        self._before = pitches_of(tokens)
        self.ring_steps = ring_steps
        self.tonic = Tonic.of(self._before)
        """Of the music up to its last part."""

    def at(
        self, step: int, played: Sequence[int], deadlines: Mapping[int, int]
    ) -> LastChord | None:
        """The chord that sounds at a step; None where one of its keys was struck twice.

        Args:
            step: the time.
            played: the events of the last part up to it, the last of them a NOTE_ON.
            deadlines: pitch -> step at which it is let go at latest, of each key that sounds.
        """
        struck, stutters = _just_struck(played)
        if stutters:
            return None
        before = np.concatenate([self._before, pitches_of(played)])[: -len(struck)]
        tonic = Tonic.of(before)
        over, let_go = step + self.ring_steps, step + min(LET_GO_STEPS, self.ring_steps)
        rings_on = {
            pitch
            for pitch, deadline in deadlines.items()
            if pitch in struck or (pitch % 12 in tonic.triad and deadline >= over)
        }
        ends = {
            pitch: min(deadline, over if pitch in rings_on else let_go)
            for pitch, deadline in deadlines.items()
        }
        return LastChord(ends=ends, suits=tonic.suits(rings_on))


def _key_fits(notes: Pitches) -> npt.NDArray[np.float64]:
    weights = 1.0 + (notes < _BASS_BELOW)
    return key_fits(np.bincount(notes % 12, weights=weights, minlength=12))


def pitches_of(tokens: npt.ArrayLike) -> Pitches:
    """MIDI note numbers of the notes that begin, `[notes]`, in order."""
    ids = np.asarray(tokens, dtype=np.int64)
    return ids[(ids >= v.NOTE_ON) & (ids < v.NOTE_OFF)] - v.NOTE_ON


def _just_struck(played: Sequence[int]) -> tuple[set[int], bool]:
    """The keys struck together last, and whether one of them was struck a moment before, too."""
    chord: set[int] = set()
    steps = 0
    for token in reversed(played):
        if v.TIME_SHIFT <= token < v.VELOCITY:
            steps += token - v.TIME_SHIFT + 1
        if steps > _AGAIN_STEPS:
            break
        if v.NOTE_ON <= token < v.NOTE_OFF:
            if token - v.NOTE_ON in chord:
                return chord, True
            if steps <= _TOGETHER_STEPS:
                chord.add(token - v.NOTE_ON)
    return chord, False
