"""What is no note of the piano is copied, too: instruments, bends, drums, messages to makers."""

import io

import mido
import numpy as np
import pytest

from perceiver_music.music.midi_bytes import SYSTEM_EXCLUSIVE
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.performance import NOTE_DTYPE, Performance

NEW = Performance(np.array([(100_000, 600_000, 72, 80)], dtype=NOTE_DTYPE))
TICKS_A_SECOND = 960

# (seconds, message), in one track.
BEFORE = [
    (0.0, mido.Message("sysex", data=(0x7E, 0x7F, 0x09, 0x01))),
    (0.1, mido.Message("control_change", control=101, value=0)),
    (0.1, mido.Message("control_change", control=100, value=0)),
    (0.1, mido.Message("control_change", control=6, value=12)),
    (0.1, mido.Message("control_change", control=101, value=0)),
    (0.1, mido.Message("control_change", control=100, value=1)),
    (0.1, mido.Message("control_change", control=6, value=64)),
    (0.2, mido.Message("control_change", control=0, value=3)),
    (0.2, mido.Message("program_change", program=48)),
    (0.3, mido.Message("program_change", channel=3, program=5)),
    (0.5, mido.Message("note_on", note=60, velocity=70)),
    (0.6, mido.Message("polytouch", note=60, value=33)),
    (0.7, mido.Message("pitchwheel", pitch=500)),
    (0.7, mido.Message("aftertouch", value=9)),
    (0.7, mido.Message("pitchwheel", channel=3, pitch=100)),
    (0.8, mido.Message("note_on", channel=9, note=36, velocity=90)),
    (0.9, mido.Message("note_off", channel=9, note=36)),
    (0.9, mido.Message("note_off", note=60)),
    (0.95, mido.Message("control_change", channel=9, control=7, value=88)),
]
INSIDE = [
    (1.1, mido.Message("note_on", channel=9, note=38, velocity=91)),
    (1.2, mido.Message("polytouch", note=61, value=34)),
    (1.2, mido.Message("note_off", channel=9, note=38)),
    (1.3, mido.Message("pitchwheel", pitch=-700)),
    (1.3, mido.Message("pitchwheel", channel=3, pitch=200)),
    (1.4, mido.Message("program_change", program=49)),
    (1.5, mido.Message("control_change", control=123, value=0)),
]
AFTER = [
    (2.1, mido.Message("pitchwheel", pitch=0)),
    (2.2, mido.Message("note_on", note=64, velocity=71)),
    (2.3, mido.Message("control_change", control=121, value=0)),
    (2.4, mido.Message("note_on", channel=9, note=40, velocity=92)),
    (2.5, mido.Message("note_off", channel=9, note=40)),
    (2.6, mido.Message("note_off", note=64)),
]


def as_bytes(rows: list[tuple[float, mido.Message]]) -> bytes:
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    track = mido.MidiTrack([mido.MetaMessage("device_name", name="Strings")])
    now = 0
    for seconds, message in rows:
        tick = round(seconds * TICKS_A_SECOND)
        track.append(message.copy(time=tick - now))
        now = tick
    file.tracks.append(track)
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def messages(data: bytes) -> list[tuple[float, mido.Message]]:
    """(seconds, message) of all but meta events."""
    now, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(data)):
        now += message.time
        if not message.is_meta:
            found.append((round(now, 3), message.copy(time=0)))
    return found


@pytest.fixture
def filled() -> bytes:
    file = parse_midi(as_bytes(BEFORE + INSIDE + AFTER), name="x")
    return filled_midi(file, FilledGap(from_us=1_000_000, to_us=2_000_000, middle=NEW))


def test_all_messages_outside_a_gap_are_the_files_own(filled: bytes) -> None:
    found = messages(filled)
    sort_key = str  # several at one moment may change places with notes
    for wanted, rows in (
        (BEFORE, [row for row in found if row[0] < 1.0]),
        (AFTER, [row for row in found if row[0] > 2.0]),
    ):
        assert sorted(rows, key=sort_key) == sorted(wanted, key=sort_key)
    metas = mido.MidiFile(file=io.BytesIO(filled)).tracks[0]
    assert "Strings" in [meta.name for meta in metas if meta.type == "device_name"]


def test_parameters_keep_their_order(filled: bytes) -> None:
    rows = [m for at, m in messages(filled) if at == 0.1]
    assert rows == [message for at, message in BEFORE if at == 0.1]


def test_in_a_gap_the_new_music_is_neither_bent_nor_drummed_to(filled: bytes) -> None:
    found = [row for row in messages(filled) if 1.0 <= row[0] <= 2.0]
    assert found == [
        (1.0, mido.Message("pitchwheel", pitch=0)),
        (1.0, mido.Message("aftertouch", value=0)),
        (1.1, mido.Message("note_on", note=72, velocity=80)),
        (1.3, mido.Message("pitchwheel", channel=3, pitch=200)),
        (1.4, mido.Message("program_change", program=49)),
        (1.6, mido.Message("note_off", note=72)),
        (2.0, mido.Message("aftertouch", value=9)),
        (2.0, mido.Message("pitchwheel", pitch=-700)),
    ]


def continued(from_us: int, to_us: int, **fields: bool) -> bytes:
    file = parse_midi(as_bytes(BEFORE + INSIDE + AFTER), name="x")
    window = {"from_us": from_us, "to_us": to_us, "include_primer": True, **fields}
    return continued_midi(file, **window, continuation=NEW, seam=Seam())


def test_a_primer_is_copied_with_its_instruments_and_drums() -> None:
    found = messages(continued(0, 1_000_000))
    rows = [row for row in found if row[0] < 1.0]
    assert sorted(rows, key=str) == sorted(BEFORE, key=str)
    assert found[len(rows) :] == [
        (1.0, mido.Message("pitchwheel", pitch=0)),
        (1.0, mido.Message("aftertouch", value=0)),
        (1.1, mido.Message("note_on", note=72, velocity=80)),
        (1.6, mido.Message("note_off", note=72)),
    ]


def test_a_window_begins_with_what_was_set_before_it() -> None:
    found = messages(continued(2_050_000, 2_700_000))
    begin = [message for at, message in found if at == 0.0]
    parameters = [message for at, message in BEFORE if at == 0.1]
    assert [m for m in begin if m.is_cc() and m.control in (6, 100, 101)] == parameters
    assert [m.program for m in begin if m.type == "program_change" and m.channel == 0] == [49]
    assert begin.index(mido.Message("control_change", control=0, value=3)) < begin.index(
        mido.Message("program_change", program=49)
    )
    assert mido.Message("pitchwheel", pitch=-700) in begin
    assert mido.Message("pitchwheel", channel=3, pitch=200) in begin
    assert not [m for m in begin if m.type in ("note_on", "polytouch")]
    assert begin[0].type == "sysex"  # from the file's first moment, before all that it resets
    drums = [m.note for _, m in found if m.type == "note_on" and m.channel == 9]
    assert drums == [40]


def test_drums_stop_with_the_window() -> None:
    drum = [
        (0.0, mido.Message("note_on", note=60, velocity=70)),
        (0.5, mido.Message("note_on", channel=9, note=49, velocity=90)),
        (0.9, mido.Message("note_off", note=60)),
        (5.0, mido.Message("note_off", channel=9, note=49)),
    ]
    file = parse_midi(as_bytes(drum), name="x")
    data = continued_midi(
        file, from_us=0, to_us=1_000_000, continuation=NEW, seam=Seam(), include_primer=True
    )
    ends = [at for at, m in messages(data) if m.type == "note_off" and m.channel == 9]
    assert ends == [1.0]


def test_without_its_primer_new_music_is_alone() -> None:
    found = messages(continued(0, 1_000_000, include_primer=False))
    assert [str(m) for at, m in found if not at] == [
        *[str(message) for at, message in BEFORE if at == 0.1],
        "control_change channel=0 control=0 value=3 time=0",
        "program_change channel=0 program=48 time=0",
    ]
    assert [(at, m.type) for at, m in found if at] == [(0.1, "note_on"), (0.6, "note_off")]


def faded(number: int, *, last: int) -> bytes:
    rows = [(0.0, mido.Message("control_change", control=number, value=100))]
    for beat in range(8):
        rows.append((beat * 0.5, mido.Message("note_on", note=60, velocity=70)))
        rows.append((beat * 0.5 + 0.4, mido.Message("note_off", note=60, velocity=31)))
    fade = np.linspace(100, last, 6).astype(int).tolist()
    rows += [
        (3.0 + i / 10, mido.Message("control_change", control=number, value=value))
        for i, value in enumerate(fade)
    ]
    return as_bytes(sorted(rows, key=lambda row: row[0]))


@pytest.mark.parametrize("number", [7, 11])
@pytest.mark.parametrize("include_primer", [True, False])
def test_after_a_fade_new_music_is_heard(number: int, include_primer: bool) -> None:
    for last, expected in ((5, 100), (70, 70)):
        data = continued_midi(
            parse_midi(faded(number, last=last), name="x"),
            from_us=0,
            to_us=4_000_000,
            continuation=NEW,
            seam=Seam(),
            include_primer=include_primer,
        )
        values = [m.value for _, m in messages(data) if m.is_cc(number)]
        assert values[-1] == expected


def test_how_fast_keys_are_let_go_stays() -> None:
    file = parse_midi(faded(7, last=70), name="x")
    filled = filled_midi(file, FilledGap(from_us=1_000_000, to_us=2_000_000, middle=NEW))
    offs = [m for _, m in messages(filled) if m.type == "note_off"]
    assert [m.velocity for m in offs if m.note == 60] == [31] * 6
    assert [m.velocity for m in offs if m.note == 72] == [64]


def test_a_channel_is_set_from_whatever_track() -> None:
    """Notes in one track, what bends and fades them in another, of the same channel."""
    rows = [[(0.0, mido.Message("program_change", program=4))], []]
    rows[0] += [
        (0.5, mido.Message("pitchwheel", pitch=900)),
        (0.0, mido.Message("control_change", control=7, value=90)),
        (1.9, mido.Message("control_change", control=7, value=3)),
    ]
    for beat in range(8):
        rows[1] += [
            (beat / 4, mido.Message("note_on", note=60, velocity=70)),
            (beat / 4 + 0.2, mido.Message("note_off", note=60)),
        ]
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    for part in rows:
        part.sort(key=lambda row: row[0])
        file.tracks.append(mido.MidiFile(file=io.BytesIO(as_bytes(part))).tracks[0])
    stream = io.BytesIO()
    file.save(file=stream)
    old = parse_midi(stream.getvalue(), name="x")
    filled = messages(filled_midi(old, FilledGap(from_us=700_000, to_us=1_500_000, middle=NEW)))
    bends = [(at, m.pitch) for at, m in filled if m.type == "pitchwheel"]
    assert bends == [(0.5, 900), (0.7, 0), (1.5, 900)]
    for include_primer in (True, False):
        window = {"from_us": 0, "to_us": 2_000_000, "include_primer": include_primer}
        found = messages(continued_midi(old, **window, continuation=NEW, seam=Seam()))
        assert [m.value for _, m in found if m.is_cc(7)][-1] == 90
        assert [m.program for _, m in found if m.type == "program_change"] == [4]
        bent = [m.pitch for _, m in found if m.type == "pitchwheel"]
        assert bent[-1:] == ([0] if include_primer else [])


def test_drums_without_a_length_or_an_end_are_kept() -> None:
    drum = [
        (0.0, mido.Message("note_on", note=60, velocity=70)),
        (0.5, mido.Message("note_on", channel=9, note=36, velocity=90)),
        (0.5, mido.Message("note_off", channel=9, note=36)),
        (0.8, mido.Message("note_on", channel=9, note=38, velocity=91)),
        (0.9, mido.Message("note_off", note=60)),
        (1.2, mido.Message("note_on", channel=9, note=38, velocity=92)),
    ]
    file = parse_midi(as_bytes(drum), name="x")
    found = messages(filled_midi(file, FilledGap(from_us=1_500_000, to_us=2_000_000, middle=NEW)))
    hits = [(at, m.note, m.velocity) for at, m in found if m.type == "note_on" and m.channel == 9]
    assert hits == [(0.5, 36, 90), (0.8, 38, 91), (1.2, 38, 92)]
    offs = [(m.channel, m.note) for _, m in found if m.type == "note_off"]
    assert offs.count((9, 36)) == 1
    assert offs.count((9, 38)) == 2


def test_a_long_silence_after_quick_music_can_be_read() -> None:
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack())
    for message, ticks in (
        (mido.MetaMessage("set_tempo", tempo=6_000_000), 0),
        (mido.Message("note_on", note=60, velocity=70), 0),
        (mido.Message("note_off", note=60), 480),
        (mido.MetaMessage("set_tempo", tempo=250_000), 0),
        (mido.MetaMessage("end_of_track"), 36 * 60 * 4 * 480),
    ):
        message.time = ticks
        file.tracks[0].append(message)
    stream = io.BytesIO()
    file.save(file=stream)
    old = parse_midi(stream.getvalue(), name="x")
    filled = filled_midi(old, FilledGap(from_us=7_000_000, to_us=9_000_000, middle=NEW))
    assert len(parse_midi(filled, name="y").performance.notes) == 2


def test_a_broken_message_to_a_maker_is_left_out() -> None:
    whole = as_bytes(BEFORE)
    sysex = bytes((0xF0, 5, 0x7E, 0x7F, 0x09, 0x01, 0xF7))
    assert sysex in whole
    for broken in (sysex[:-1] + b"\x01", sysex[:3] + b"\x80" + sysex[4:]):
        file = parse_midi(whole.replace(sysex, broken), name="x")
        assert [meta.kind for meta in file.other_metas] == [0x09]
        assert len(file.performance.notes) == 1


def test_a_meta_event_of_no_kind_is_left_out() -> None:
    whole = as_bytes(BEFORE)
    device = bytes((0xFF, 0x09, 7)) + b"Strings"
    file = parse_midi(whole.replace(device, b"\xff\xf0" + device[2:]), name="x")
    assert [meta.kind for meta in file.other_metas] == [SYSTEM_EXCLUSIVE]
    assert len(file.performance.notes) == 1
