"""Promise 12: any sequence of events is a valid MIDI file in which every note ends."""

from __future__ import annotations

import io
import random
import warnings
from typing import Any

from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

AT_A_TIME = 5_000
MOST_EVENTS = 60


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Random sequences in processes of their own, written as MIDI and read by four parsers."""
    for start in range(0, size, AT_A_TIME):
        count = min(AT_A_TIME, size - start)
        found = workshop.apart(f"{__name__}:decode_many", start, count, seconds=60 + count / 10)
        why = found.get("died") or found.get("wrong")
        num_right = 0 if why else count
        ledger.of += count - 1
        ledger.passed += max(0, num_right - 1)
        ledger.enter(not why, f"sequences {start} to {start + count}", why)
        ledger.count("notes", found.get("notes", 0))


def decode_many(start: int, count: int) -> dict[str, Any]:
    """Decode sequences number `start` and on; the first that is not as it should be is told."""
    outcome: dict[str, Any] = {"notes": 0, "wrong": None}
    for number in range(start, start + count):
        rng = random.Random(number)
        try:
            num_notes, why = _decode_one([_event(rng) for _ in range(rng.randrange(MOST_EVENTS))])
        except Exception as error:
            num_notes, why = 0, f"{type(error).__name__}: {error}"
        outcome["notes"] += num_notes
        if why is not None and outcome["wrong"] is None:
            outcome["wrong"] = f"{number}: {why}"
    return outcome


def _event(rng: random.Random) -> int:
    """An id; keys are few, so that notes overlap, repeat and hang."""
    from perceiver_music.tokenizer import vocabulary as v

    kind = rng.random()
    if kind < 0.35:
        return v.NOTE_ON + 60 + rng.randrange(3)
    if kind < 0.6:
        return v.NOTE_OFF + 60 + rng.randrange(3)
    return rng.randrange(v.VOCABULARY_SIZE)


def _decode_one(ids: list[int]) -> tuple[int, str | None]:
    """The number of notes, and what is wrong."""
    import numpy as np

    from perceiver_music.music.midi_file import parse_midi
    from perceiver_music.music.midi_writer import performance_to_midi
    from perceiver_music.tokenizer.performance_events import decode

    performance = decode(np.array(ids, dtype=np.int64))
    data = performance_to_midi(performance)
    ours = parse_midi(data, name="ours")
    counts = {
        "ours": ours.performance.num_notes,
        "mido": _by_mido(data),
        "symusic": _by_symusic(data),
        "pretty_midi": _by_pretty_midi(data),
    }
    right = performance.num_notes
    if ours.warnings:
        return right, f"our reader says {ours.warnings}"
    if not bool((performance.notes["end_us"] > performance.notes["start_us"]).all()):
        return right, "a note without length"
    wrong = {name: count for name, count in counts.items() if count != right}
    return right, f"{right} notes, but {wrong}" if wrong else None


def _by_mido(data: bytes) -> int:
    """Notes, each of which must end: as many offs as ons for every key, never fewer in between."""
    import mido

    count = 0
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        sounding: dict[int, int] = {}
        for message in track:
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = sounding.get(message.note, 0) + 1
                count += 1
            elif message.type in ("note_off", "note_on"):
                sounding[message.note] = sounding.get(message.note, 0) - 1
                if sounding[message.note] < 0:
                    raise AssertionError("a note ends that has not begun")
        if any(sounding.values()):
            raise AssertionError("a note never ends")
    return count


def _by_symusic(data: bytes) -> int:
    import symusic

    return sum(len(track.notes) for track in symusic.Score.from_midi(data).tracks)


def _by_pretty_midi(data: bytes) -> int:
    import pretty_midi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        midi = pretty_midi.PrettyMIDI(io.BytesIO(data))
    return sum(len(instrument.notes) for instrument in midi.instruments)
