"""All outside a gap is copied; what its edges cut ends well."""

import io

import mido
import numpy as np

from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.midi_gap import FilledGap, filled_midi
from perceiver_music.music.midi_track import Tracks
from perceiver_music.music.performance import NOTE_DTYPE, Performance
from perceiver_music.music.sustain import apply_sustain

# At 480 ticks a quarter and the default tempo, 960 ticks are a second.
SECOND = 960
GAP = (2_000_000, 4_000_000)


def midi_with(
    *notes: tuple[float, float, int], controls: tuple[tuple[float, int, int], ...] = ()
) -> bytes:
    """Notes of (start, end, pitch) and controls of (time, number, value), in seconds."""
    track = Tracks()
    for start, end, pitch in notes:
        track.note(
            round(start * SECOND), round(end * SECOND), channel=0, pitch=pitch, velocity=pitch
        )
    for time, number, value in controls:
        track.control(round(time * SECOND), channel=0, number=number, value=value)
    return track.file(480)


def file_with(
    *notes: tuple[float, float, int], controls: tuple[tuple[float, int, int], ...] = ()
) -> MidiFile:
    return parse_midi(midi_with(*notes, controls=controls), name="x")


def filled(file: MidiFile, *rows: tuple[int, int, int, int], **released_us: int) -> bytes:
    gap = FilledGap(
        from_us=GAP[0],
        to_us=GAP[1],
        middle=Performance(notes=np.array(list(rows), dtype=NOTE_DTYPE)),
        released_us={int(name[1:]): us for name, us in released_us.items()},
    )
    return filled_midi(file, gap)


def fill(file: MidiFile, *rows: tuple[int, int, int, int], **released_us: int) -> MidiFile:
    return parse_midi(filled(file, *rows, **released_us), name="y")


def seconds(file: MidiFile) -> list[tuple[float, float, int]]:
    return [
        (round(int(n["start_us"]) / 1e6, 2), round(int(n["end_us"]) / 1e6, 2), int(n["pitch"]))
        for n in file.performance.notes
    ]


def events_of(midi: bytes, pitch: int) -> list[tuple[float, str]]:
    """Seconds and kind of the events of a key, as mido has them."""
    now, rows = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(midi)):
        now += message.time
        if message.type in ("note_on", "note_off") and message.note == pitch:
            rows.append((round(now, 2), message.type))
    return rows


def test_notes_are_replaced_inside_and_kept_outside() -> None:
    file = file_with((0, 1, 50), (2, 2.5, 51), (3.9, 9, 52), (4, 5, 53), (6, 7, 54))
    found = fill(file, (500_000, 900_000, 70, 88))
    assert seconds(found) == [(0, 1, 50), (2.5, 2.9, 70), (4, 5, 53), (6, 7, 54)]
    assert [int(n["velocity"]) for n in found.performance.notes] == [50, 88, 53, 54]


def test_a_note_over_the_first_edge_ends_when_told_one_over_both_when_it_did() -> None:
    file = file_with((1, 3, 50), (1, 5, 51), (1, 4, 52))
    found = fill(file, p50=250_000, p51=2_000_000, p52=2_000_000)
    assert seconds(found) == [(1, 2.25, 50), (1, 5, 51), (1, 4, 52)]


def test_notes_of_one_key_that_overlap_stay_as_they_are_outside() -> None:
    notes = [(0, 1, 50), (0.5, 1.5, 50), (0.6, 1.7, 50), (5, 6, 51), (5.2, 7, 51)]
    notes += [(3, 5.5, 52), (4.5, 6, 52)]
    midi = midi_with(*notes)
    file = parse_midi(midi, name="x")
    output = filled(file, (500_000, 900_000, 70, 88))
    # Every reader pairs them in its own way, so it is the events that must be the same.
    for pitch in (50, 51):
        assert events_of(output, pitch) == events_of(midi, pitch)
    # The first note of this key begins in the gap, but its note-off ends the other one.
    assert events_of(output, 52) == events_of(midi, 52)[1:]
    outside = [row for row in seconds(file) if not 2 <= row[0] < 4]
    assert [row for row in seconds(parse_midi(output, name="y")) if row[2] != 70] == outside


def test_no_note_off_of_overlapping_notes_strays_into_the_gap() -> None:
    file = file_with((0, 1, 50), (0.5, 3, 50), (0, 1.5, 51), (0.5, 6, 51))
    output = filled(file, (500_000, 1_500_000, 50, 88), (1_900_000, 2_000_000, 51, 88))
    assert [at for at, _ in events_of(output, 50)] == [0, 0.5, 1, 1, 2.5, 3.5]
    assert [at for at, _ in events_of(output, 51)][:5] == [0, 0.5, 1.5, 1.5, 3.9]


def test_what_is_new_rings_on_as_what_was_there_did() -> None:
    file = file_with((0, 1, 50), (3, 4.4, 51), (3.5, 4.8, 52), (3.9, 6, 53), (4.3, 5, 70))
    up_to_the_end = [(1_000_000, 2_000_000, pitch, 80) for pitch in (70, 71)]
    found = fill(file, *up_to_the_end, (1_500_000, 1_700_000, 75, 80))
    assert seconds(found)[1:] == [(3, 4.3, 70), (3, 4.8, 71), (3.5, 3.7, 75), (4.3, 5, 70)]


def test_what_is_new_is_not_held_by_the_pedal_that_returns() -> None:
    file = file_with((0, 1, 50), (5, 6, 53), controls=((3.5, 64, 100), (7, 64, 0)))
    found = apply_sustain(fill(file, (1_000_000, 2_000_000, 70, 80)).performance)
    assert [int(note["end_us"]) // 10_000 for note in found.notes] == [100, 399, 700]


def test_the_pedal_comes_up_with_the_last_note_that_needs_it_and_returns() -> None:
    controls = ((1.0, 64, 100), (3.0, 64, 0), (3.5, 64, 90), (5.0, 64, 0))
    file = file_with((1, 1.5, 50), (1, 2.5, 51), (4, 4.5, 60), controls=controls)
    found = fill(file, p50=300_000, p51=400_000)
    moves = [(round(int(m["time_us"]) / 1e6, 2), int(m["value"])) for m in found.performance.pedal]
    assert moves == [(1.0, 100), (2.3, 0), (4.0, 90), (5.0, 0)]
    assert seconds(found)[1] == (1, 2.4, 51)


def test_the_pedal_comes_up_no_later_than_it_did() -> None:
    file = file_with((1, 1.5, 50), (5, 6, 60), controls=((1.0, 64, 100), (2.1, 64, 0)))
    pedal = fill(file, p50=900_000).performance.pedal
    assert [round(int(move["time_us"]) / 1e6, 2) for move in pedal] == [1.0, 2.1]


def test_controllers_that_are_no_pedals_stay_in_the_gap() -> None:
    file = file_with((0, 1, 50), (5, 6, 60), controls=((1, 7, 90), (3, 7, 40), (4, 64, 20)))
    found = fill(file)
    rows = [(int(c["number"]), int(c["value"])) for c in found.controls]
    assert rows == [(7, 90), (7, 40), (64, 20)]


def test_tempi_signatures_and_titles_stay_old_settings_do_not() -> None:
    track = Tracks()
    track.meta(0, 0x03, b"Title")
    track.meta(0, 0x01, b"perceiver-music: {}")
    track.meta(0, 0x51, (600_000).to_bytes(3, "big"))
    track.meta(0, 0x58, bytes((3, 2, 24, 8)))
    track.meta(3000, 0x51, (400_000).to_bytes(3, "big"))
    for tick in range(0, 6000, 300):
        track.note(tick, tick + 200, channel=0, pitch=60 + tick // 300, velocity=70)
    file = parse_midi(track.file(480), name="x")
    found = fill(file)
    assert [text.data for text in found.texts] == [b"Title"]
    assert found.time_signatures[0].data == file.time_signatures[0].data
    for at in (0, 5_000_000):
        assert found.tempo_map.quarter_at(at) == file.tempo_map.quarter_at(at)
    outside = [row for row in seconds(file) if not 2 <= row[0] < 4]
    assert seconds(found) == outside
