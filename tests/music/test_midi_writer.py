"""Files written are read back as they were meant, by us and by others."""

import io

import mido
import numpy as np
import pretty_midi
import pytest

from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance

NOTHING = Performance(notes=np.empty(0, dtype=NOTE_DTYPE))


def music(*rows: tuple[int, int, int, int], pedal: tuple[tuple[int, int], ...] = ()) -> Performance:
    return Performance(
        notes=np.array(list(rows), dtype=NOTE_DTYPE),
        pedal=np.array(list(pedal), dtype=PEDAL_DTYPE),
    )


def smpte_file(frames: int, per_frame: int) -> bytes:
    track = (
        b"\x00\x90\x3c\x40\x83\x60\x80\x3c\x00\x00\x90\x40\x41\x83\x60\x80\x40\x00\x00\xff\x2f\x00"
    )
    header = b"\x00\x00\x00\x01" + bytes((256 - frames, per_frame))
    return b"MThd\0\0\0\6" + header + b"MTrk" + len(track).to_bytes(4, "big") + track


def test_a_performance_comes_back() -> None:
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.integers(0, 300_000, 200))
    rows = [(int(s), int(s) + 90_000, 30 + i % 60, 1 + i % 127) for i, s in enumerate(starts)]
    given = music(*rows, pedal=((0, 127), (500_000, 30), (900_000, 0)))
    data = performance_to_midi(given)
    read = parse_midi(data, name="x")
    order = np.lexsort((given.notes["pitch"], given.notes["start_us"]))
    for column in ("pitch", "velocity"):
        assert (read.performance.notes[column] == given.notes[order][column]).all()
    for column in ("start_us", "end_us"):
        difference = read.performance.notes[column] - given.notes[order][column]
        assert np.abs(difference).max() <= 250
    assert read.performance.pedal["value"].tolist() == [127, 30, 0]
    assert len(list(mido.MidiFile(file=io.BytesIO(data)))) > 400
    others = pretty_midi.PrettyMIDI(io.BytesIO(data)).instruments[0].notes
    assert [note.pitch for note in others] == read.performance.notes["pitch"].tolist()


@pytest.mark.parametrize("minutes", [10, 17, 100, 350])
def test_other_programs_read_long_music(minutes: int) -> None:
    end = minutes * 60_000_000
    data = performance_to_midi(music((10_000, 20_000, 60, 64), (end - 20_000, end, 62, 64)))
    read = pretty_midi.PrettyMIDI(io.BytesIO(data)).instruments[0].notes
    expected = [0.01, 0.02, end / 1e6 - 0.02, end / 1e6]
    assert [t for n in read for t in (n.start, n.end)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("from_us", "minutes"), [(0, 30), (3_000_000, 80)])
def test_other_programs_read_long_continuations(from_us: int, minutes: int) -> None:
    primer = parse_midi(file_that_changes_tempo((0, 120), (2.1, 40), (3, 240)), name="x")
    data = continued_midi(
        primer,
        from_us=from_us,
        to_us=3_500_000,
        continuation=music((0, 500_000, 70, 64), (0, minutes * 60_000_000, 72, 64)),
        seam=Seam(),
        include_primer=True,
    )
    end = pretty_midi.PrettyMIDI(io.BytesIO(data)).get_end_time()
    assert end == pytest.approx(minutes * 60 + (3_500_000 - from_us) / 1e6, abs=1e-3)


def test_a_key_struck_again_at_once_is_released_first() -> None:
    data = performance_to_midi(music((0, 100_000, 60, 64), (100_000, 200_000, 60, 70)))
    kinds = [(m.type, m.velocity) for m in mido.MidiFile(file=io.BytesIO(data)) if "note" in m.type]
    assert kinds == [("note_on", 64), ("note_off", 64), ("note_on", 70), ("note_off", 64)]


def test_a_note_without_length_is_struck_and_released() -> None:
    data = performance_to_midi(music((100_000, 100_000, 60, 64)))
    kinds = [m.type for m in mido.MidiFile(file=io.BytesIO(data)) if "note" in m.type]
    assert kinds == ["note_on", "note_off"]


@pytest.mark.parametrize(("frames", "per_frame"), [(25, 40), (29, 100), (30, 80), (24, 8)])
def test_primers_timed_by_frames_are_copied_too(frames: int, per_frame: int) -> None:
    primer = parse_midi(smpte_file(frames, per_frame), name="x")
    end = int(primer.performance.end_us)
    data = continued_midi(
        primer, from_us=0, to_us=end, continuation=NOTHING, seam=Seam(), include_primer=True
    )
    copied = parse_midi(data, name="y").performance.notes
    for column in ("start_us", "end_us"):
        difference = copied[column] - primer.performance.notes[column]
        assert np.abs(difference).max() <= 1_000
    assert copied["velocity"].tolist() == [64, 65]


def test_held_notes_end_when_told_at_latest_when_they_did() -> None:
    primer = parse_midi(
        performance_to_midi(music((0, 900_000, 60, 64), (0, 300_000, 64, 64))), name="x"
    )

    def end_of_c(released_us: dict[int, int]) -> int:
        data = continued_midi(
            primer,
            from_us=0,
            to_us=500_000,
            continuation=music((100_000, 200_000, 67, 64)),
            seam=Seam(released_us=released_us),
            include_primer=True,
        )
        notes = parse_midi(data, name="y").performance.notes
        assert notes[notes["pitch"] == 67]["start_us"].tolist() == [600_000]
        return int(notes[notes["pitch"] == 60]["end_us"][0])

    assert end_of_c({60: 150_000}) == pytest.approx(650_000, abs=250)
    assert end_of_c({60: 5_000_000}) == pytest.approx(900_000, abs=250)
    assert end_of_c({}) == pytest.approx(500_000, abs=250)


def note_offs(midi: bytes, pitch: int) -> list[float]:
    now, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(midi)):
        now += message.time
        if message.type == "note_off" and message.note == pitch:
            found.append(round(now, 2))
    return found


def test_of_notes_of_one_key_that_overlap_each_keeps_its_note_off() -> None:
    rows = [(0, 300_000, 60, 64), (200_000, 400_000, 60, 64), (900_000, 1_000_000, 60, 64)]
    rows += [(0, 300_000, 62, 64), (200_000, 900_000, 62, 64)]
    primer = parse_midi(performance_to_midi(music(*rows)), name="x")
    assert primer.performance.notes["end_us"].tolist()[:4] == [300_000] * 4

    def continued(from_us: int) -> bytes:
        return continued_midi(
            primer,
            from_us=from_us,
            to_us=500_000,
            continuation=music((100_000, 200_000, 67, 64)),
            seam=Seam(),
            include_primer=True,
        )

    assert note_offs(continued(0), 60) == [0.3, 0.4]
    assert note_offs(continued(0), 62) == [0.3, 0.3]  # its own comes after the seam
    # The first note is left out, and the note-off that ends both stays.
    assert note_offs(continued(100_000), 60) == [0.2, 0.3]


def test_a_pedal_that_is_down_at_the_seam_comes_up_with_the_last_release() -> None:
    given = music((0, 300_000, 60, 64), pedal=((0, 127), (2_000_000, 0)))
    primer = parse_midi(performance_to_midi(given), name="x")

    def lift(released_us: dict[int, int]) -> int:
        data = continued_midi(
            primer,
            from_us=0,
            to_us=500_000,
            continuation=NOTHING,
            seam=Seam(released_us=released_us),
            include_primer=True,
        )
        pedal = parse_midi(data, name="y").performance.pedal
        assert pedal["value"].tolist() == [127, 0]
        return int(pedal["time_us"][-1])

    assert lift({60: 700_000}) == pytest.approx(1_200_000, abs=250)
    assert lift({60: 9_000_000}) == pytest.approx(2_000_000, abs=250)
    assert lift({}) == pytest.approx(500_000, abs=250)


def file_that_changes_tempo(*changes: tuple[float, int]) -> bytes:
    """A note and its pedal from 0 to 4 quarters; each change is (quarters, beats a minute)."""
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    rows = [
        (0.0, mido.Message("control_change", control=64, value=127)),
        (0.0, mido.Message("note_on", note=60, velocity=64)),
        *((at, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))) for at, bpm in changes),
        (4.0, mido.Message("note_off", note=60)),
        (4.0, mido.Message("control_change", control=64, value=0)),
    ]
    now = 0
    for at, message in sorted(rows, key=lambda row: row[0]):
        track.append(message.copy(time=round(at * 480) - now))
        now = round(at * 480)
    file.tracks.append(track)
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


@pytest.mark.parametrize("include_primer", [True, False])
def test_tempi_after_the_seam_do_not_bend_the_new_music(include_primer: bool) -> None:
    # Up to the seam a quarter takes 0.5 s; later it would take 1.5 s, and then 0.25 s.
    primer = parse_midi(file_that_changes_tempo((0, 120), (2.1, 40), (3, 240)), name="x")
    own_end = int(primer.performance.notes["end_us"][0])
    data = continued_midi(
        primer,
        from_us=0,
        to_us=1_000_000,
        continuation=music((0, 500_000, 70, 64), (19_000_000, 20_000_000, 72, 64)),
        seam=Seam(released_us={60: 60_000_000}),
        include_primer=include_primer,
    )
    seam_us = 1_000_000 if include_primer else 0
    read = parse_midi(data, name="y")
    new = read.performance.notes[read.performance.notes["pitch"] >= 70]
    assert np.abs(new["start_us"] - seam_us - [0, 19_000_000]).max() <= 250
    assert np.abs(new["end_us"] - seam_us - [500_000, 20_000_000]).max() <= 250
    assert read.tempo_map.us_per_quarter.tolist() == [500_000]
    if include_primer:
        assert read.performance.notes["end_us"][0] == pytest.approx(own_end, abs=250)
        assert read.performance.pedal["time_us"][-1] == pytest.approx(own_end, abs=250)


def test_a_tempo_at_the_seam_itself_is_that_of_the_new_music() -> None:
    primer = parse_midi(file_that_changes_tempo((0, 120), (2, 60)), name="x")
    data = continued_midi(
        primer,
        from_us=0,
        to_us=1_000_000,
        continuation=music((0, 8_000_000, 70, 64)),
        seam=Seam(),
        include_primer=True,
    )
    read = parse_midi(data, name="y")
    assert read.tempo_map.us_per_quarter.tolist() == [500_000, 1_000_000]
    assert read.performance.end_us == pytest.approx(9_000_000, abs=250)
