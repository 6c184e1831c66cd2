"""Files of random events: a copy with a filled gap has every event outside it, and nothing else."""

import io
import random
from collections.abc import Callable

import mido
import numpy as np
import pytest

from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.performance import NOTE_DTYPE, Performance

NEW_PITCH = 127
NEW = Performance(np.array([(100_000, 250_000, NEW_PITCH, 80)], dtype=NOTE_DTYPE))
EDGE_US = 2_000
CONTROLS = (0, 1, 7, 10, 11, 32, 64, 64, 66, 67, 69, 91, 100, 101, 6, 120, 121, 123)

Draw = random.Random
KINDS: tuple[Callable[[Draw, int], mido.Message | mido.MetaMessage], ...] = (
    lambda r, c: mido.Message(
        "control_change", channel=c, control=r.choice(CONTROLS), value=r.randrange(128)
    ),
    lambda r, c: mido.Message("pitchwheel", channel=c, pitch=r.randint(-8192, 8191)),
    lambda r, c: mido.Message("aftertouch", channel=c, value=r.randrange(128)),
    lambda r, c: mido.Message("polytouch", channel=c, note=60, value=r.randrange(128)),
    lambda r, c: mido.Message("program_change", channel=c, program=r.randrange(128)),
    lambda r, _: mido.Message("sysex", data=[r.randrange(128) for _ in range(r.randrange(6))]),
    lambda r, _: mido.MetaMessage("marker", text=str(r.random())),
    lambda _r, _c: mido.MetaMessage("key_signature", key="D"),
    lambda r, _: mido.MetaMessage("time_signature", numerator=r.randint(2, 6)),
    lambda r, _: mido.MetaMessage("set_tempo", tempo=r.randint(200_000, 900_000)),
)


def random_file(draw: Draw) -> bytes:
    file = mido.MidiFile(type=draw.choice((0, 1, 1)), ticks_per_beat=draw.choice((96, 480, 960)))
    last = 16 * file.ticks_per_beat
    for _ in range(1 if file.type == 0 else draw.randint(1, 5)):
        rows: list[tuple[int, float, mido.Message]] = []
        for _ in range(draw.randint(0, 60)):
            at, channel = draw.randint(0, last), draw.choice((0, 1, 9))
            if draw.random() < 0.5:
                note = {"channel": channel, "note": draw.randint(20, 110)}
                end = at + draw.randint(1, last // 4)
                velocity = draw.randint(1, 127)
                rows.append((at, 2, mido.Message("note_on", velocity=velocity, **note)))
                rows.append((end, 0, mido.Message("note_off", **note)))
            else:
                rows.append((at, 1, draw.choice(KINDS)(draw, channel)))
        now, track = 0, mido.MidiTrack()
        for at, _, message in sorted(rows, key=lambda row: row[:2]):
            message.time, now = at - now, at
            track.append(message)
        file.tracks.append(track)
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


Copy = tuple[bytes, MidiFile, bytes, tuple[int, int]]
"""A file, the same read, a copy of it, and from when to when its gap or its window goes."""


def with_a_filled_gap(seed: int) -> Copy:
    draw = random.Random(seed)
    data = random_file(draw)
    old = parse_midi(data, name="old")
    first = draw.randint(0, max(old.performance.end_us, 2_000_000))
    last = first + draw.randint(300_000, 3_000_000)
    filled = filled_midi(old, FilledGap(from_us=first, to_us=last, middle=NEW))
    return data, old, filled, (first, last)


def with_a_window(seed: int) -> Copy:
    draw = random.Random(seed)
    data = random_file(draw)
    old = parse_midi(data, name="old")
    last = draw.randint(2, max(old.performance.end_us, 2))
    first = draw.randint(0, last - 1)
    window = continued_midi(
        old, from_us=first, to_us=last, continuation=NEW, seam=Seam(), include_primer=True
    )
    return data, old, window, (first, last)


def others_of(data: bytes, midi: MidiFile) -> list[tuple[int, str]]:
    """(microseconds, message) of all but notes and tempi."""
    found = []
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off", "set_tempo", "end_of_track"):
                at = int(midi.tempo_map.ticks_to_us(np.array([tick]))[0])
                found.append((at, str(message.copy(time=0))))
    return found


def notes_of(midi: MidiFile) -> list[tuple[int, ...]]:
    """(pitch, velocity, channel, start) of notes and drums, in order."""
    notes, channels = midi.performance.notes, midi.note_ticks["channel"].tolist()
    found = [
        (int(note["pitch"]), int(note["velocity"]), channel, int(note["start_us"]))
        for note, channel in zip(notes, channels, strict=True)
    ]
    found += [(int(d["pitch"]), int(d["velocity"]), 9, int(d["start_us"])) for d in midi.drums]
    return sorted(found)


@pytest.mark.parametrize("seed", range(25))
def test_all_outside_the_gap_is_there_and_nothing_else(seed: int) -> None:
    data, old, filled, (first, last) = with_a_filled_gap(seed)
    new = parse_midi(filled, name="new")
    for low, high in ((-1, first - EDGE_US), (last + EDGE_US, 1 << 60)):
        before, after = (
            sorted(message for at, message in others_of(*file) if low <= at < high)
            for file in ((data, old), (filled, new))
        )
        assert before == after
    wanted = [note for note in notes_of(old) if not first <= note[3] < last]
    found = [note for note in notes_of(new) if note[0] != NEW_PITCH]
    assert [note[:3] for note in found] == [note[:3] for note in wanted]
    shifts = [abs(a[3] - b[3]) for a, b in zip(found, wanted, strict=True)]
    assert max(shifts, default=0) <= EDGE_US


def states_at(data: bytes, ticks: list[int]) -> list[dict[object, object]]:
    """What an instrument would be set to after all events up to each of some rising ticks."""
    rows = []
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        now = 0
        for message in track:
            now += message.time
            rows.append((now, message))
    rows.sort(key=lambda row: row[0])
    state: dict[object, object] = {}
    found, place = [], 0
    for tick in ticks:
        while place < len(rows) and rows[place][0] <= tick:
            _set(state, rows[place][1])
            place += 1
        found.append(dict(state))
    return found


def _set(state: dict[object, object], message: mido.Message | mido.MetaMessage) -> None:
    if message.type == "control_change" and message.control == 121:
        rest = [("control_change", message.channel, n) for n in (1, 11, 64, 66, 67, 69)]
        rest += [(kind, message.channel, 0) for kind in ("pitchwheel", "aftertouch")]
        for key in rest:
            state.pop(key, None)
    elif message.type == "control_change" and message.control < 120:
        key = ("control_change", message.channel, message.control)
        state[key] = message.value
        if not message.value and message.control in (1, 64, 66, 67, 69):
            del state[key]
    elif message.type == "program_change":
        banks = [state.get(("control_change", message.channel, n), 0) for n in (0, 32)]
        state[message.type, message.channel, 0] = (message.program, *banks)
    elif message.type in ("pitchwheel", "aftertouch"):
        value = message.pitch if message.type == "pitchwheel" else message.value
        state[message.type, message.channel, 0] = value
        if not value:
            del state[message.type, message.channel, 0]


@pytest.mark.parametrize("seed", range(40))
def test_an_instrument_is_set_as_before_outside_the_gap(seed: int) -> None:
    data, old, filled, (first, last) = with_a_filled_gap(seed)
    factor = (
        mido.MidiFile(file=io.BytesIO(filled)).ticks_per_beat // old.tempo_map.ticks_per_quarter
    )
    ends = [int(old.tempo_map.us_to_ticks(at)) for at in (first, last)]
    ticks = sorted(
        {int(t) for t in old.channel_events["tick"] if not ends[0] - 2 <= t <= ends[1] + 2}
    )
    before = states_at(data, ticks)
    after = states_at(filled, [tick * factor for tick in ticks])
    assert before == after


@pytest.mark.parametrize("seed", range(40))
def test_an_instrument_is_set_as_before_in_a_window(seed: int) -> None:
    data, old, window, (first, last) = with_a_window(seed)
    first_tick = int(np.rint(old.tempo_map.us_to_ticks(first)))
    last_tick = int(old.tempo_map.us_to_ticks(last))
    ticks = sorted(
        {int(t) for t in old.channel_events["tick"] if first_tick + 2 <= t <= last_tick - 2}
    )
    read = parse_midi(window, name="new").tempo_map
    at = old.tempo_map.ticks_to_us(np.array(ticks, dtype=np.int64)) - first
    # Times are rounded once more, by less than half of the old file's shortest tick.
    new_ticks = read.us_to_ticks(np.asarray(at, dtype=np.int64) + 400)
    assert states_at(data, ticks) == states_at(window, new_ticks.tolist())


@pytest.mark.parametrize("seed", range(25))
def test_a_window_has_the_files_own_notes_and_drums(seed: int) -> None:
    _, old, window, (first, last) = with_a_window(seed)
    new = parse_midi(window, name="new")
    assert not [warning for warning in new.warnings if "never end" in warning]
    wanted = [note for note in notes_of(old) if first + EDGE_US <= note[3] < last - EDGE_US]
    found = [note for note in notes_of(new) if note[0] != NEW_PITCH]
    missing = [note for note in wanted if not _has(found, note, first)]
    assert missing == []
    assert len(found) <= sum(first - EDGE_US <= note[3] < last + EDGE_US for note in notes_of(old))


def _has(found: list[tuple[int, ...]], note: tuple[int, ...], first: int) -> bool:
    return any(
        other[:3] == note[:3] and abs(other[3] - (note[3] - first)) <= EDGE_US for other in found
    )
