"""A file whose ticks are so short that a copy of it has too many."""

import io

import numpy as np
import pretty_midi
import pytest

from perceiver_music.music.coarser_ticks import on_coarser_ticks
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.performance import Performance, note_array

TICKS_PER_QUARTER = 480
US_PER_QUARTER = 1_000
TICKS_PER_SECOND = TICKS_PER_QUARTER * 1_000_000 // US_PER_QUARTER


def quick_file(*more_tempi: tuple[int, int]) -> MidiFile:
    """Twenty seconds at 60,000 quarter notes a minute: 9,600,000 ticks."""
    track = Tracks()
    for tick, us_per_quarter in ((0, US_PER_QUARTER), *more_tempi):
        track.meta(tick, 0x51, us_per_quarter.to_bytes(3, "big"))
    track.meta(3, 0x58, bytes((3, 2, 24, 8)))
    track.meta(TICKS_PER_SECOND, 0x06, b"a marker")
    for i in range(20):
        start = i * TICKS_PER_SECOND + 7 * i
        track.note(start, start + 1 + 1_000 * i, channel=0, pitch=50 + i, velocity=60)
        track.control(start, channel=0, number=64, value=i)
    track.note(10, TICKS_PER_SECOND, channel=9, pitch=36, velocity=60)
    return parse_midi(track.file(TICKS_PER_QUARTER), name="x")


def test_other_programs_read_what_follows_a_quick_file() -> None:
    primer = quick_file()
    output = continued_midi(
        primer,
        from_us=0,
        to_us=20_000_000,
        continuation=Performance(note_array([0], [30_000_000], [99], [64])),
        seam=Seam(),
        include_primer=True,
    )
    assert abs(pretty_midi.PrettyMIDI(io.BytesIO(output)).get_end_time() - 50.0) < 1e-3
    copied = parse_midi(output, name="y")
    assert copied.tempo_map.us_per_quarter.tolist() == [US_PER_QUARTER]
    assert copied.time_signatures[0].data == bytes((3, 2, 24, 8))
    notes, old = copied.performance.notes[:-1], primer.performance.notes
    assert notes[["pitch", "velocity"]].tolist() == old[["pitch", "velocity"]].tolist()
    for column in ("start_us", "end_us"):
        assert np.abs(notes[column] - old[column]).max() <= 1_000
    assert (notes["end_us"] > notes["start_us"]).all()
    moves = copied.performance.pedal[:20], primer.performance.pedal
    assert np.abs(moves[0]["time_us"] - moves[1]["time_us"]).max() <= 1_000
    assert abs(int(copied.texts[0].tick) * 1_000_000 / ticks_per_second(copied) - 1e6) <= 1_000
    assert abs(int(copied.drums["start_us"][0]) - int(primer.drums["start_us"][0])) <= 1_000


def ticks_per_second(file: MidiFile) -> float:
    return file.tempo_map.ticks_per_quarter * 1_000_000 / US_PER_QUARTER


def test_nothing_changes_where_ticks_are_few_or_cannot_be_longer() -> None:
    file = quick_file()
    assert on_coarser_ticks(file, 9_999_000) is file
    assert on_coarser_ticks(file, 10_000_000) is not file
    slow_at_last = quick_file((19 * TICKS_PER_SECOND, 900_000))
    assert on_coarser_ticks(slow_at_last, 20_000_000) is slow_at_last


def test_nothing_changes_where_the_roundings_of_many_tempi_would_add_up() -> None:
    tempi = [(TICKS_PER_SECOND + i, (1_000, 450_000)[i % 2]) for i in range(2_000)]
    file = quick_file(*tempi, (TICKS_PER_SECOND + 2_000, US_PER_QUARTER))
    assert on_coarser_ticks(file, 20_000_000) is file
    few = quick_file(*tempi[:2], (TICKS_PER_SECOND + 2, US_PER_QUARTER))
    moved = on_coarser_ticks(few, 20_000_000)
    for column, us in (("start_tick", "start_us"), ("end_tick", "end_us")):
        heard = moved.tempo_map.ticks_to_us(moved.note_ticks[column])
        assert np.abs(heard - few.performance.notes[us]).max() <= 1_000


@pytest.mark.parametrize("released_us", [{}, {60: 50_000}])
def test_a_note_less_than_a_tick_before_the_window_ends_is_copied(
    released_us: dict[int, int],
) -> None:
    primer = quick_file()
    last = primer.performance.notes[10]
    output = continued_midi(
        primer,
        from_us=0,
        to_us=int(last["start_us"]) + 1,
        continuation=Performance(note_array([0], [40_000_000], [99], [64])),
        seam=Seam(released_us=released_us),
        include_primer=True,
    )
    notes = parse_midi(output, name="y").performance.notes
    assert sorted(notes["pitch"].tolist()) == [*range(50, 61), 99]
    copied = notes[notes["pitch"] == 60][0]
    assert abs(int(copied["start_us"]) - int(last["start_us"])) <= 1_000
    length = int(copied["end_us"]) - int(copied["start_us"])
    own_length = int(last["end_us"]) - int(last["start_us"])
    assert abs(length - min(own_length, released_us.get(60, 0))) <= 1_000


def test_a_beat_of_a_rounded_tempo_is_on_either_edge_of_a_window() -> None:
    track = Tracks()
    track.meta(0, 0x51, (545_454).to_bytes(3, "big"))  # 110 a minute: beat 11 is at 5.999994 s
    for beat in range(10, 13):
        track.note(beat * 480, beat * 480 + 470, channel=0, pitch=50 + beat, velocity=60)
    primer = parse_midi(track.file(480), name="x")
    for window, pitches in (
        ({"from_us": 0, "to_us": 6_000_000}, [60, 61]),
        ({"from_us": 6_000_000, "to_us": 7_000_000}, [61, 62]),
    ):
        output = continued_midi(
            primer,
            **window,
            continuation=Performance(note_array([], [], [], [])),
            seam=Seam(released_us={61: 100_000}),
            include_primer=True,
        )
        notes = parse_midi(output, name="y").performance.notes
        assert notes["pitch"].tolist() == pitches
