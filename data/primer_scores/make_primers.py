"""Makes the primers from their scores:  python data/primer_scores/make_primers.py [FOLDER].

The folder is data/primers unless given. Nothing here belongs to the package; it needs mido alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mido
from performer import PlayedNote, TempoCurve, play
from scores import SCORES, Score

TICKS_PER_QUARTER = 480
PRIMERS = Path(__file__).resolve().parent.parent / "primers"


def main(folder: Path) -> None:
    """Writes one MIDI file per score."""
    folder.mkdir(parents=True, exist_ok=True)
    for score in SCORES:
        midi_file(score).save(folder / f"{score.name}.mid")


def midi_file(score: Score) -> mido.MidiFile:
    """A performance, with bars and tempo as a player would have conducted them."""
    notes, pedal, tempo = play(score)
    clock = _Clock(tempo)
    conductor = mido.MidiTrack(_in_order(_conductor_events(score, clock)))
    piano = mido.MidiTrack(_in_order(_piano_events(notes, pedal, clock)))
    return mido.MidiFile(
        type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8", tracks=[conductor, piano]
    )


class _Clock:
    """Seconds to ticks, through tempi that MIDI can hold: whole microseconds a quarter note."""

    def __init__(self, tempo: TempoCurve) -> None:
        self.step_ticks = round(TICKS_PER_QUARTER * tempo.STEP)
        self.tempi = [round(seconds / tempo.STEP * 1e6) for seconds in tempo.step_seconds]
        self.starts = [0.0]
        for tempo_us in self.tempi:
            self.starts.append(self.starts[-1] + tempo_us * tempo.STEP / 1e6)

    def ticks(self, seconds: float) -> int:
        index = max(i for i in range(len(self.tempi)) if self.starts[i] <= max(seconds, 0.0))
        within = (seconds - self.starts[index]) / (self.starts[index + 1] - self.starts[index])
        return round((index + within) * self.step_ticks)


def _conductor_events(score: Score, clock: _Clock) -> list[tuple[int, mido.MetaMessage]]:
    events = [
        (0, mido.MetaMessage("track_name", name=score.title)),
        (0, mido.MetaMessage("copyright", text="Performance: CC0 1.0, no rights reserved")),
    ]
    numerator, denominator = score.signature
    if score.upbeat:
        beats = round(score.upbeat * denominator / 4)
        events.append((0, _signature(beats, denominator)))
    events.append((round(score.upbeat * TICKS_PER_QUARTER), _signature(numerator, denominator)))
    for index, tempo_us in enumerate(clock.tempi):
        events.append((index * clock.step_ticks, mido.MetaMessage("set_tempo", tempo=tempo_us)))
    return events


def _signature(numerator: int, denominator: int) -> mido.MetaMessage:
    return mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)


def _piano_events(
    notes: list[PlayedNote], pedal: list[tuple[float, int]], clock: _Clock
) -> list[tuple[int, mido.Message | mido.MetaMessage]]:
    events: list[tuple[int, mido.Message | mido.MetaMessage]] = [
        (0, mido.MetaMessage("track_name", name="Piano")),
        (0, mido.Message("program_change", program=0)),
    ]
    for seconds, value in pedal:
        events.append(
            (clock.ticks(seconds), mido.Message("control_change", control=64, value=value))
        )
    # Ends come before starts in the list, so that a sort by time keeps them so at one tick.
    for note in notes:
        events.append((clock.ticks(note.end), mido.Message("note_off", note=note.pitch)))
    for note in notes:
        message = mido.Message("note_on", note=note.pitch, velocity=note.velocity)
        events.append((clock.ticks(note.start), message))
    return events


def _in_order(
    events: list[tuple[int, mido.Message | mido.MetaMessage]],
) -> list[mido.Message | mido.MetaMessage]:
    now, messages = 0, []
    for tick, message in sorted(events, key=lambda event: event[0]):
        messages.append(message.copy(time=tick - now))
        now = tick
    return [*messages, mido.MetaMessage("end_of_track", time=0)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PRIMERS)
