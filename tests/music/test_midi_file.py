"""The reader on files made by hand, byte by byte."""

import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_file import MidiFile, lack_of_notes, parse_midi


def chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "big") + data


def midi(*tracks: bytes, kind: int = 1, division: int | bytes = 480) -> bytes:
    if isinstance(division, int):
        division = division.to_bytes(2, "big")
    header = kind.to_bytes(2, "big") + len(tracks).to_bytes(2, "big") + division
    return chunk(b"MThd", header) + b"".join(chunk(b"MTrk", track) for track in tracks)


END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x40" + b"\x83\x60\x80\x3c\x00"  # 480 ticks of middle C


def read(data: bytes) -> MidiFile:
    return parse_midi(data, name="x.mid")


def rows(data: bytes) -> list[tuple[int, int, int, int]]:
    return [tuple(note) for note in read(data).performance.notes.tolist()]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_note_at_the_default_tempo(kind: int) -> None:
    assert rows(midi(NOTE + END, kind=kind)) == [(0, 500_000, 60, 64)]


def test_running_status_and_velocity_zero() -> None:
    track = b"\x00\x90\x3c\x40\x83\x60\x3c\x00\x00\x3e\x50\x83\x60\x3e\x00" + END
    assert rows(midi(track)) == [(0, 500_000, 60, 64), (500_000, 1_000_000, 62, 80)]


def test_tempi_of_one_track_hold_in_all() -> None:
    conductor = b"\x00\xff\x51\x03\x0f\x42\x40" + b"\x81\x70\xff\x51\x03\x03\xd0\x90" + END
    # A second a quarter for half of one, then a quarter of a second for the rest.
    assert rows(midi(conductor, NOTE + END)) == [(0, 500_000 + 125_000, 60, 64)]


@pytest.mark.parametrize(
    ("frames", "per_frame", "microseconds"),
    [(25, 40, 480_000), (24, 100, 200_000), (30, 80, 200_000), (29, 100, 160_160)],
)
def test_smpte_divisions(frames: int, per_frame: int, microseconds: int) -> None:
    division = bytes((256 - frames, per_frame))
    data = midi(NOTE + END, division=division)
    assert rows(data) == [(0, microseconds, 60, 64)]
    assert read(data).is_in_frames
    assert not read(midi(NOTE + END)).is_in_frames


def test_pieces_of_format_2_follow_one_another() -> None:
    found = read(midi(NOTE + END, NOTE + END, kind=2))
    assert [note[0] for note in found.performance.notes.tolist()] == [0, 500_000]
    assert any("format 2" in warning for warning in found.warnings)


def test_a_riff_wrapper_is_taken_off() -> None:
    inner = midi(NOTE + END)
    wrapped = b"RIFF" + (12 + len(inner)).to_bytes(4, "little") + b"RMID"
    wrapped += b"data" + len(inner).to_bytes(4, "little") + inner
    assert rows(wrapped) == rows(inner)


def test_drums_are_left_out_with_a_word() -> None:
    drums = b"\x00\x99\x24\x40\x83\x60\x89\x24\x00" + END
    found = read(midi(NOTE + END, drums))
    assert found.performance.num_notes == 1
    assert any("drums" in warning for warning in found.warnings)


def test_channels_and_tracks_are_one_piano() -> None:
    other = b"\x00\x91\x40\x40\x83\x60\x81\x40\x00" + END
    assert [row[2] for row in rows(midi(NOTE + END, other))] == [60, 64]


def test_a_cut_track_is_read_up_to_the_break() -> None:
    whole = midi(NOTE + b"\x00\x90\x3e\x40\x83\x60\x80\x3e\x00" + END)
    found = read(whole[: len(whole) - len(END) - 2])
    assert found.performance.num_notes == 1
    assert found.warnings


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a MIDI file"),
        (b"RIFF\x00\x00\x00\x00WAVE" + bytes(9 << 20), "not a MIDI file"),
        (b"MThd" + bytes(9 << 20), "8 MiB"),
        (b"MThd", "cut off"),
        (midi(b"\x81\x80\x80\x80\x00\x90\x3c\x40"), "four bytes"),
        (midi(NOTE + END, division=0), "division"),
        (midi(b"\x00\xf4" + END), "status"),
        (midi(b"\x00\x90\x3c\x40" + b"\xff\xff\xff\x7f\x80\x3c\x00" + END, division=1), "hours"),
    ],
)
def test_what_is_malformed_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        read(data)
    assert caught.value.path == "x.mid"


def test_every_cut_and_every_flipped_byte_is_read_or_refused() -> None:
    pedal = b"\x00\xb0\x40\x7f" + b"\x83\x60\xb0\x40\x00"
    whole = midi(b"\x00\xff\x51\x03\x07\xa1\x20" + END, pedal + NOTE + END)
    damaged = [whole[:length] for length in range(len(whole))]
    for place in range(len(whole)):
        for bits in (0x01, 0x80, 0xFF):
            damaged.append(whole[:place] + bytes((whole[place] ^ bits,)) + whole[place + 1 :])
    num_read = 0
    for data in damaged:
        try:
            notes = read(data).performance.notes
        except InvalidInputError:
            continue
        num_read += 1
        assert (notes["end_us"] >= notes["start_us"]).all()
        assert (notes["start_us"] >= 0).all()
    assert num_read > len(damaged) // 4


def test_notes_without_length_are_left_out_with_a_word() -> None:
    instant = b"\x00\x90\x3e\x40\x00\x80\x3e\x00"
    found = read(midi(instant + NOTE + END))
    assert found.performance.notes["pitch"].tolist() == [60]
    assert found.warnings == ("1 note has no length and is left out",)
    again = b"\x00\x80\x3c\x00\x00\x90\x3c\x40\x83\x60\x80\x3c\x00"
    assert read(midi(NOTE + again + END)).warnings == ()  # struck again as it is let go
    none = read(midi(instant + instant + END))
    reason = "has no piano notes; 2 notes have no length and are left out"
    assert lack_of_notes(none.warnings) == reason
    assert lack_of_notes(()) == "has no piano notes"


def test_the_lowest_pedal_of_several_channels_counts() -> None:
    first = b"\x00\xb0\x40\x7f" + b"\x83\x60\xb0\x40\x00" + END
    second = b"\x81\x70\xb1\x40\x64" + b"\x83\x60\xb1\x40\x00" + END
    pedal = read(midi(NOTE + END, first, second)).performance.pedal
    assert pedal["value"].tolist() == [127, 127, 100, 0]
    assert np.diff(pedal["time_us"]).tolist() == [250_000, 250_000, 250_000]


def test_a_pedal_that_never_comes_up_is_none_where_another_does() -> None:
    played = b"\x00\xb0\x40\x7f" + b"\x83\x60\xb0\x40\x00" + END
    stuck = b"\x00\xb1\x40\x48" + b"\x83\x60\xb1\x40\x50" + END
    found = read(midi(NOTE + END, played, stuck))
    assert found.performance.pedal["value"].tolist() == [127, 0]
    assert [w for w in found.warnings if "channel 2" in w and "never comes up" in w]
    alone = read(midi(NOTE + END, stuck))
    assert alone.performance.pedal["value"].tolist() == [72, 80]
    assert not alone.warnings


def test_after_the_last_key_a_pedal_that_never_comes_up_again_does_not_count() -> None:
    own = b"\x00\xb0\x40\x7f" + b"\x87\x40\xb0\x40\x00" + END  # up at tick 960
    used = b"\x00\xb1\x40\x7f" + b"\x0a\xb1\x40\x00" + b"\x0a\xb1\x40\x60"
    left_down = used + b"\xa3\x60\xb1\x40\x50" + END  # moves once more, 4,500 ticks later
    pedal = read(midi(NOTE + END, own, left_down)).performance.pedal
    assert pedal["value"].tolist() == [127, 127, 127, 127, 0, 0]
    assert pedal["time_us"][pedal["value"] == 0][0] == 1_000_000
    # Where no other pedal tells when the strings are damped, it holds them as long as it moves.
    pedal = read(midi(NOTE + END, left_down)).performance.pedal
    assert pedal["value"].tolist() == [127, 0, 96, 80]
