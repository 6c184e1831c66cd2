"""Plays a score as a person might: tempo that breathes, voices that differ, a pedal that changes.

All chance comes from one seed per piece, so a performance is the same on every run.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from scores import Score, Voice

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"#": 1, "b": -1, "": 0}


@dataclass(frozen=True, kw_only=True)
class WrittenNote:
    """A note on the page: times in quarter notes from the start, and its place in its chord."""

    start: float
    length: float
    pitch: int
    place_in_chord: int


@dataclass(frozen=True, kw_only=True)
class PlayedNote:
    """A note as it sounds, in seconds."""

    start: float
    end: float
    pitch: int
    velocity: int


class Wander:
    """Noise with a memory: a hand that pushes goes on pushing for a while."""

    def __init__(self, chance: random.Random, size: float, memory: float = 0.8) -> None:
        """Takes the standard deviation of the noise and how much of a step stays for the next."""
        self._chance, self._memory = chance, memory
        self._fresh = size * math.sqrt(1 - memory**2)
        self._value = chance.gauss(0, size)

    def step(self) -> float:
        """The next value."""
        self._value = self._memory * self._value + self._chance.gauss(0, self._fresh)
        return self._value


class TempoCurve:
    """Seconds at every moment of a score: a tempo for each half of a quarter note."""

    STEP = 0.5

    def __init__(self, score: Score, length: float, chance: random.Random) -> None:
        """Draws the curve for `length` quarter notes."""
        wander = Wander(chance, 0.025)
        self.step_seconds: list[float] = []
        self.starts = [0.0]
        for index in range(math.ceil(length / self.STEP) + 2):
            through = phrase_position(score, min(index * self.STEP, length), length)
            # Gathers pace in the first third, gives it back in the last fifth.
            slow = 0.05 * max(0.0, 1 - through / 0.3) + score.breath * max(0.0, through - 0.8) / 0.2
            tempo = score.quarters_per_minute * (1.03 - slow) * (1 + wander.step())
            self.step_seconds.append(60 / tempo * self.STEP)
            self.starts.append(self.starts[-1] + self.step_seconds[-1])

    def seconds(self, quarters: float) -> float:
        """When a moment of the score comes."""
        index = min(max(int(quarters / self.STEP), 0), len(self.step_seconds) - 1)
        rest = quarters / self.STEP - index
        return self.starts[index] + rest * self.step_seconds[index]


def phrase_position(score: Score, moment: float, length: float) -> float:
    """How far a moment is through its phrase, from 0 to 1."""
    start = 0.0
    ends = [sum(score.phrases[: i + 1]) for i in range(len(score.phrases) - 1)] + [length]
    for end in ends:
        if moment < end or end == ends[-1]:
            return min(1.0, (moment - start) / (end - start))
        start = end
    raise AssertionError("a score has at least one phrase")


def pitch_number(name: str) -> int:
    """MIDI's number of a pitch such as F#4; B#3 is C4."""
    step, accidental, octave = name[0], name[1:-1], int(name[-1])
    return 12 * (octave + 1) + _STEPS[step] + _ACCIDENTALS[accidental]


def written_notes(voice: Voice) -> list[WrittenNote]:
    """The notes of a voice."""
    notes, moment, length = [], 0.0, 1.0
    for word in voice.text.split():
        pitches, _, given = word.partition(":")
        length = float(given) if given else length
        if pitches != "r":
            for place, pitch in enumerate(sorted(map(pitch_number, pitches.split("+")))):
                notes.append(
                    WrittenNote(start=moment, length=length, pitch=pitch, place_in_chord=place)
                )
        moment += length
    return notes


def play(score: Score) -> tuple[list[PlayedNote], list[tuple[float, int]], TempoCurve]:
    """Plays a score.

    Returns:
        notes, pedal moves as (seconds, value of controller 64), and the tempo they were played in.
    """
    chance = random.Random(score.name)
    lines = [written_notes(voice) for voice in score.voices]
    length = max(note.start + note.length for line in lines for note in line)
    tempo = TempoCurve(score, length, chance)
    notes = [
        note
        for voice, line in zip(score.voices, lines, strict=True)
        for note in _play_line(score, voice, line, length, tempo, chance)
    ]
    return _let_keys_go(notes), _press_pedal(score, length, tempo, chance), tempo


def _play_line(
    score: Score,
    voice: Voice,
    line: list[WrittenNote],
    length: float,
    tempo: TempoCurve,
    chance: random.Random,
) -> list[PlayedNote]:
    push, touch = Wander(chance, 0.006), Wander(chance, 2.2, memory=0.6)
    centre = sum(note.pitch for note in line) / len(line)
    spread = chance.uniform(0.006, 0.012)
    played = []
    for note in line:
        through = phrase_position(score, note.start, length)
        velocity = voice.loudness + score.swell * math.sin(math.pi * through**0.8) - score.swell / 2
        velocity += _accent(score, note.start) + touch.step()
        if voice.leads:
            velocity += 0.45 * (note.pitch - centre)
        velocity -= 2.0 * note.place_in_chord * (not voice.leads)
        # A melody sounds a moment before what accompanies it; a chord is not quite together.
        late = push.step() - 0.014 * voice.leads + spread * note.place_in_chord
        start = max(0.0, tempo.seconds(note.start) + 0.02 + late)
        written_end = tempo.seconds(note.start + note.length * voice.legato)
        end = max(start + 0.04, written_end + 0.02 + chance.gauss(0, 0.012))
        played.append(
            PlayedNote(
                start=start,
                end=end,
                pitch=note.pitch,
                velocity=round(min(92.0, max(28.0, velocity))),
            )
        )
    return played


def _accent(score: Score, moment: float) -> float:
    in_bar = (moment - score.upbeat) % score.bar
    if in_bar < 1e-6:
        return 3.0
    return 0.5 if abs(in_bar - round(in_bar)) < 1e-6 else -2.0


def _let_keys_go(notes: list[PlayedNote]) -> list[PlayedNote]:
    """A key must come up before it can be struck again, whichever voice struck it."""
    kept: list[PlayedNote] = []
    last: dict[int, int] = {}
    for note in sorted(notes, key=lambda note: (note.start, note.pitch)):
        before = last.get(note.pitch)
        if before is not None and kept[before].end > note.start - 0.03:
            previous = kept[before]
            kept[before] = PlayedNote(
                start=previous.start,
                end=max(previous.start + 0.02, note.start - 0.03),
                pitch=previous.pitch,
                velocity=previous.velocity,
            )
        last[note.pitch] = len(kept)
        kept.append(note)
    return kept


def _press_pedal(
    score: Score, length: float, tempo: TempoCurve, chance: random.Random
) -> list[tuple[float, int]]:
    """Legato pedal: up as the new harmony sounds, down again once its bass is held."""
    moves: list[tuple[float, int]] = []
    for moment in score.pedal:
        at = tempo.seconds(moment) + 0.02
        depth = chance.randint(88, 118)
        down = at + chance.uniform(0.12, 0.19)
        if moves:
            moves += [(at + 0.01, moves[-1][1] // 2 + 18), (at + 0.04, 22), (at + 0.06, 0)]
        moves += [(down, depth // 3), (down + 0.02, 2 * depth // 3), (down + 0.05, depth)]
    end = tempo.seconds(length) + 0.1
    return [*moves, (end, 40), (end + 0.05, 0)]
