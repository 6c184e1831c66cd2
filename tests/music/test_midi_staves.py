"""New notes stand in the tracks of two hands where the file has them."""

import io

import mido
import numpy as np
import pytest

from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_staves import Place, main_place, staves_at
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance

NEW = Performance(
    np.array(
        [(100_000, 600_000, 76, 80), (200_000, 700_000, 40, 70), (300_000, 700_000, 59, 70)],
        dtype=NOTE_DTYPE,
    )
)
RIGHT, LEFT = (72, 74, 76, 77, 79, 81), (48, 43, 48, 55)


def score(
    *hands: tuple[int, ...],
    channels: tuple[int, ...] = (0, 0),
    programs: tuple[int, ...] = (0, 0),
    names: tuple[str, ...] = ("", "", "", ""),
) -> MidiFile:
    """A track of tempi, and one track a hand, with one note a second."""
    file = mido.MidiFile(type=1, ticks_per_beat=500)
    file.tracks.append(mido.MidiTrack())
    for pitches, channel, program, name in zip(hands, channels, programs, names, strict=False):
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        track.append(mido.MetaMessage("track_name", name=name))
        for pitch in pitches:
            track.append(
                mido.Message("note_on", channel=channel, note=pitch, velocity=70, time=500)
            )
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=500))
        file.tracks.append(track)
    stream = io.BytesIO()
    file.save(file=stream)
    return parse_midi(stream.getvalue(), name="x")


def pitches_of(data: bytes, track: int) -> list[int]:
    messages = mido.MidiFile(file=io.BytesIO(data)).tracks[track]
    return [m.note for m in messages if m.type == "note_on" and m.velocity]


@pytest.mark.parametrize("hands", [(RIGHT, LEFT), (LEFT, RIGHT)])
def test_each_hand_gets_its_own_in_a_gap(hands: tuple[tuple[int, ...], ...]) -> None:
    file = score(*hands)
    data = filled_midi(file, FilledGap(from_us=900_000, to_us=2_000_000, middle=NEW))
    for track, pitches in enumerate(hands, start=1):
        new = [76] if pitches is RIGHT else [40, 59]
        old = [pitch for at, pitch in enumerate(pitches) if at != 1]
        assert pitches_of(data, track) == [old[0], *new, *old[1:]]


def test_each_hand_goes_on() -> None:
    file = score(RIGHT, LEFT, channels=(0, 1))
    window = {"from_us": 0, "to_us": 4_000_000}
    data = continued_midi(file, **window, continuation=NEW, seam=Seam(), include_primer=True)
    assert pitches_of(data, 1) == [*RIGHT[:4], 76]
    assert pitches_of(data, 2) == [*LEFT, 40, 59]
    read = mido.MidiFile(file=io.BytesIO(data))
    assert {m.channel for m in read.tracks[2] if m.type == "note_on"} == {1}
    alone = continued_midi(file, **window, continuation=NEW, seam=Seam(), include_primer=False)
    assert pitches_of(alone, 1) == [76]
    assert pitches_of(alone, 2) == [40, 59]


def test_the_pedal_of_new_music_is_that_of_both_hands() -> None:
    pedal = np.array([(50_000, 100), (900_000, 0)], dtype=PEDAL_DTYPE)
    data = continued_midi(
        score(RIGHT, LEFT, channels=(0, 1)),
        from_us=0,
        to_us=4_000_000,
        continuation=Performance(NEW.notes, pedal),
        seam=Seam(plays_pedal=True),
        include_primer=True,
    )
    moves = [m for m in mido.MidiFile(file=io.BytesIO(data)) if m.is_cc(64)]
    assert sorted((m.channel, m.value) for m in moves) == [(0, 0), (0, 100), (1, 0), (1, 100)]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (score(RIGHT, LEFT, channels=(0, 1), programs=(0, 48)), "another instrument"),
        (score(RIGHT, LEFT[:3]), "too few notes"),
        (score(RIGHT, (72, 76, 60, 79, 81)), "the same pitches"),
        (score(RIGHT, LEFT, LEFT, channels=(0, 0, 0), programs=(0, 0, 0)), "three of them"),
    ],
)
def test_where_no_two_hands_are_clear_all_is_in_one_track(file: MidiFile, why: str) -> None:
    staves = staves_at(file, 2_000_000, 3_000_000)
    assert staves.lower == staves.upper == staves.main == main_place(file), why


@pytest.mark.parametrize(
    "names",
    [
        ("Vocal", "Piano RH", "Piano LH"),
        ("Song", "right hand", "Left Hand"),
        ("Voice", "Piano", "Piano"),
        ("Alto", "R.H.", "L.H."),
    ],
)
def test_hands_beside_a_voice_are_known_by_their_names(names: tuple[str, ...]) -> None:
    file = score((60, 79) * 5, RIGHT, LEFT, channels=(0, 0, 0), programs=(0, 0, 0), names=names)
    staves = staves_at(file, 2_000_000, 3_000_000)
    assert (staves.lower, staves.upper, staves.main) == (Place(3, 0), Place(2, 0), Place(2, 0))


def test_without_names_three_tracks_have_no_hands() -> None:
    file = score((60, 79) * 5, RIGHT, LEFT, channels=(0, 0, 0), programs=(0, 0, 0))
    for at_us in (2_000_000, 9_000_000, 60_000_000):
        assert staves_at(file, at_us, at_us + 1).places == (Place(1, 0),)


def test_only_notes_nearby_count() -> None:
    file = score(RIGHT + (60,) * 60, LEFT)
    assert staves_at(file, 0, 5_000_000).lower == Place(2, 0)
    far = staves_at(file, 60_000_000, 61_000_000)
    assert far.lower == far.upper == Place(1, 0)


def test_a_file_without_notes_has_one_place() -> None:
    assert main_place(score((), ())) == Place(0, 0)
    assert staves_at(score((), ()), 0, 1).main == Place(0, 0)
