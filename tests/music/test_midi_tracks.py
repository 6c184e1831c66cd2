"""A copy keeps the tracks of a file, with all that is in each."""

import io

import mido
import numpy as np
import pytest

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.embedded import Embedded, find_embedded, with_embedded, without_embedded
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_window import Seam, continued_midi
from perceiver_music.music.performance import NOTE_DTYPE, Performance

NAMES = ("Song", "Melody", "Silent", "Chords")
NEW = Performance(np.array([(100_000, 600_000, 72, 80)], dtype=NOTE_DTYPE))


def notes_of(track: mido.MidiTrack) -> list[tuple[int, int]]:
    """(ticks, pitch) of the keys struck."""
    now, found = 0, []
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((now, message.note))
    return found


def song(*, with_chords: bool = True) -> bytes:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    for name in NAMES:
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        file.tracks.append(track)
    file.tracks[0].append(mido.MetaMessage("set_tempo", tempo=500_000))
    file.tracks[2].append(mido.Message("control_change", channel=3, control=7, value=90))
    file.tracks[2].append(mido.MetaMessage("time_signature", numerator=3))
    for number, channel, pitches in ((1, 0, (60, 62, 64, 65)), (3, 0, (48, 60, 43, 60))):
        if number == 3 and not with_chords:
            continue
        file.tracks[number].append(
            mido.Message("control_change", channel=channel, control=64, value=100 + number)
        )
        for pitch in pitches:
            file.tracks[number].append(mido.Message("note_on", note=pitch, velocity=70))
            file.tracks[number].append(mido.Message("note_off", note=pitch, time=900))
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def read(data: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(data))


def filled(file: MidiFile) -> bytes:
    return filled_midi(file, FilledGap(from_us=1_000_000, to_us=2_000_000, middle=NEW))


def test_all_is_of_the_track_that_it_stands_in() -> None:
    file = parse_midi(song(), name="x")
    assert sorted(set(file.note_ticks["track"].tolist())) == [1, 3]
    assert [(text.track, text.data.decode()) for text in file.texts] == list(enumerate(NAMES))
    assert {(int(c["track"]), int(c["number"])) for c in file.controls} == {
        (2, 7),
        (1, 64),
        (3, 64),
    }
    assert [meta.track for meta in file.time_signatures] == [2]


def test_a_gap_leaves_every_track_what_it_has() -> None:
    out = read(filled(parse_midi(song(), name="x")))
    assert out.type == 1
    assert [track.name for track in out.tracks] == list(NAMES)
    factor = out.ticks_per_beat / 480
    assert notes_of(out.tracks[0]) == []
    # The gap is from 960 to 1920 ticks; of as many notes each the first track plays the new ones.
    new = [(round(1.1 * 960), 72)]
    melody = [(round(tick / factor), pitch) for tick, pitch in notes_of(out.tracks[1])]
    chords = [(round(tick / factor), pitch) for tick, pitch in notes_of(out.tracks[3])]
    assert melody == sorted([(0, 60), (900, 62), (2700, 65), *new])
    assert chords == [(0, 48), (900, 60), (2700, 60)]


def test_a_continuation_goes_on_in_the_track_of_most_notes() -> None:
    file = parse_midi(song(), name="x")
    window = {"from_us": 0, "to_us": 3_000_000}
    data = continued_midi(file, **window, continuation=NEW, seam=Seam(), include_primer=True)
    out = read(data)
    assert [track.name for track in out.tracks] == list(NAMES)
    assert [pitch for _, pitch in notes_of(out.tracks[1])] == [60, 62, 64, 65, 72]
    assert [pitch for _, pitch in notes_of(out.tracks[3])] == [48, 60, 43, 60]
    # Both tracks move the pedal of one channel, which comes up once.
    moves = [m.value for m in mido.merge_tracks(out.tracks) if m.is_cc(64)]
    assert moves == [101, 103, 0]
    alone = continued_midi(file, **window, continuation=NEW, seam=Seam(), include_primer=False)
    tracks = read(alone).tracks
    assert [track.name for track in tracks] == ["", "Melody", "Chords"]
    assert [notes_of(track) != [] for track in tracks] == [False, True, False]


def test_a_key_that_two_tracks_hold_at_once_stays_two_notes() -> None:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    for begin, length in ((0, 900), (300, 300)):
        track = mido.MidiTrack([mido.Message("note_on", note=60, velocity=70, time=begin)])
        track.append(mido.Message("note_off", note=60, time=length))
        file.tracks.append(track)
    stream = io.BytesIO()
    file.save(file=stream)
    old = parse_midi(stream.getvalue(), name="x")
    new = parse_midi(filled(old), name="y").performance.notes
    assert new[:2].tolist() == old.performance.notes.tolist()
    assert [int(note["pitch"]) for note in new] == [60, 60, 72]


def test_settings_travel_in_the_first_track() -> None:
    music = filled(parse_midi(song(), name="x"))
    embedded = Embedded(settings='{"seed": 1}', deflated_primer=b"not really")
    data = with_embedded(music, embedded)
    assert find_embedded(data, name="x") == embedded
    assert without_embedded(data) == music
    assert len(read(data).tracks) == 4


def test_a_track_of_tempi_before_the_only_one_with_notes_stays() -> None:
    out = read(filled(parse_midi(song(with_chords=False), name="x")))
    assert [track.name for track in out.tracks] == list(NAMES)
    assert notes_of(out.tracks[0]) == []
    assert [message.type for message in out.tracks[0]] == [
        "set_tempo",
        "track_name",
        "end_of_track",
    ]


def test_silence_at_the_end_and_empty_tracks_stay() -> None:
    data = song()
    file = mido.MidiFile(file=io.BytesIO(data))
    file.tracks[1].append(mido.MetaMessage("end_of_track", time=4_800))
    file.tracks.insert(1, mido.MidiTrack())
    stream = io.BytesIO()
    file.save(file=stream)
    out = read(filled(parse_midi(stream.getvalue(), name="x")))
    assert [track.name for track in out.tracks] == [NAMES[0], "", *NAMES[1:]]
    assert out.length == pytest.approx(file.length, abs=0.001)
    assert file.length > read(data).length + 4


def test_words_of_the_first_moment_stay_there() -> None:
    file = mido.MidiFile(file=io.BytesIO(song()))
    kinds = ("lyrics", "marker", "cue_marker", "text", "copyright")
    for kind in kinds:
        file.tracks[1].insert(0, mido.MetaMessage(kind, text=kind))
    stream = io.BytesIO()
    file.save(file=stream)
    old = parse_midi(stream.getvalue(), name="x")
    for from_us, expected in ((0, set(kinds)), (1_000_000, {"text", "copyright"})):
        window = {"from_us": from_us, "to_us": 3_000_000, "include_primer": True}
        out = read(continued_midi(old, **window, continuation=NEW, seam=Seam()))
        assert {message.type for message in out.tracks[1]} & set(kinds) == expected


def test_a_file_of_one_track_stays_one() -> None:
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.Message("note_on", note=60, velocity=70)]))
    file.tracks[0].append(mido.Message("note_off", note=60, time=300))
    stream = io.BytesIO()
    file.save(file=stream)
    out = read(filled(parse_midi(stream.getvalue(), name="x")))
    assert (out.type, len(out.tracks)) == (0, 1)


def test_more_tracks_than_anybody_writes_are_refused() -> None:
    chunk = b"MTrk\0\0\0\4\0\xff\x2f\0"
    head = b"MThd\0\0\0\6\0\1"
    few = parse_midi(head + (300).to_bytes(2, "big") + b"\1\xe0" + chunk * 300, name="x")
    assert len(few.track_ends) == 300
    with pytest.raises(InvalidInputError, match="20,000 tracks"):
        parse_midi(head + (20_000).to_bytes(2, "big") + b"\1\xe0" + chunk * 20_000, name="x")
