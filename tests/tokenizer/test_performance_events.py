"""The events of a few notes spelled out, exact round trips, and any ids at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import decode, encode, encode_notes

MS = 1_000


def performance(
    *rows: tuple[int, int, int, int], pedal: tuple[tuple[int, int], ...] = ()
) -> Performance:
    """Notes as (start ms, end ms, pitch, velocity), pedal moves as (ms, value)."""
    notes = [(start * MS, end * MS, pitch, velocity) for start, end, pitch, velocity in rows]
    moves = [(time * MS, value) for time, value in pedal]
    return Performance(
        notes=np.array(notes, dtype=NOTE_DTYPE), pedal=np.array(moves, dtype=PEDAL_DTYPE)
    )


def events(music: Performance) -> list[tuple[str, int]]:
    return [v.describe(token) for token in encode(music).tolist()]


def test_a_note_is_a_velocity_an_onset_time_and_a_release() -> None:
    assert events(performance((0, 500, 60, 64))) == [
        ("VELOCITY", 16),
        ("NOTE_ON", 60),
        ("TIME_SHIFT", 50),
        ("NOTE_OFF", 60),
    ]


def test_long_times_are_whole_seconds_and_a_rest() -> None:
    assert events(performance((1234, 3000, 60, 1)))[:4] == [
        ("TIME_SHIFT", 100),
        ("TIME_SHIFT", 23),
        ("VELOCITY", 1),
        ("NOTE_ON", 60),
    ]


def test_a_velocity_is_told_only_when_its_bin_changes() -> None:
    music = performance((0, 10, 60, 61), (0, 10, 62, 64), (0, 10, 64, 65))
    assert events(music)[:5] == [
        ("VELOCITY", 16),
        ("NOTE_ON", 60),
        ("NOTE_ON", 62),
        ("VELOCITY", 17),
        ("NOTE_ON", 64),
    ]


def test_within_a_step_releases_come_before_onsets() -> None:
    music = performance((0, 100, 60, 64), (100, 200, 60, 64))
    assert events(music)[2:5] == [("TIME_SHIFT", 10), ("NOTE_OFF", 60), ("NOTE_ON", 60)]


def test_every_note_lasts_a_step() -> None:
    assert events(performance((0, 1, 60, 64)))[2:] == [("TIME_SHIFT", 1), ("NOTE_OFF", 60)]


def test_the_grid_does_not_drift() -> None:
    rows = [(round(i * 33.4), round(i * 33.4) + 20, 60 + i % 3, 64) for i in range(1_000)]
    moments = decode(encode(performance(*rows))).notes["start_us"]
    assert np.abs(moments - np.array([row[0] for row in rows]) * MS).max() <= 5 * MS


def test_the_pedal_makes_notes_longer() -> None:
    held = performance((0, 100, 60, 64), pedal=((0, 64), (700, 63)))
    assert events(held)[2:] == [("TIME_SHIFT", 70), ("NOTE_OFF", 60)]
    half = performance((0, 100, 60, 64), pedal=((0, 63),))
    assert events(half)[2:] == [("TIME_SHIFT", 10), ("NOTE_OFF", 60)]


def test_no_notes_no_events() -> None:
    assert len(encode(performance())) == 0
    assert decode([]).num_notes == 0


grid_notes = st.lists(
    st.tuples(st.integers(0, 600), st.integers(1, 400), st.integers(0, 127), st.integers(1, 32)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(grid_notes)
def test_notes_on_the_grid_come_back(rows: list[tuple[int, int, int, int]]) -> None:
    """Exactly, where no two notes of a pitch overlap; the lossy part is said first."""
    taken: dict[int, list[tuple[int, int]]] = {}
    kept = []
    for start, length, pitch, velocity_bin in rows:
        spans = taken.setdefault(pitch, [])
        if all(start + length <= a or start >= b for a, b in spans):
            spans.append((start, start + length))
            kept.append((10 * start, 10 * (start + length), pitch, 4 * velocity_bin - 2))
    music = performance(*kept)
    back = decode(encode(music)).notes
    rounded = sorted(
        (round(note["start_us"] / 10_000) * 10, int(note["end_us"]) // 1_000, *note.tolist()[2:])
        for note in back
    )
    assert rounded == sorted(kept)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_000_000),
            st.integers(0, 2_000_000),
            st.integers(21, 108),
            st.integers(1, 127),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_what_the_encoder_writes_is_read_back_as_written(
    rows: list[tuple[int, int, int, int]],
) -> None:
    table = [(start, start + length, pitch, velocity) for start, length, pitch, velocity in rows]
    ids = encode_notes(np.array(table, dtype=NOTE_DTYPE))
    assert encode(decode(ids)).tolist() == ids.tolist()


def test_the_order_of_a_step_survives_a_midi_file() -> None:
    events = [("VELOCITY", 20), ("NOTE_ON", 72), ("NOTE_ON", 60), ("VELOCITY", 9), ("NOTE_ON", 50)]
    events += [("TIME_SHIFT", 30), ("NOTE_OFF", 72), ("NOTE_OFF", 60), ("NOTE_OFF", 50)]
    ids = [v.token_id(name, value) for name, value in events]
    file = performance_to_midi(decode(ids))
    assert encode(parse_midi(file, name="x").performance).tolist() == ids


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, v.VOCABULARY_SIZE - 1), max_size=200))
def test_any_ids_are_music_without_a_hanging_note(ids: list[int]) -> None:
    music = decode(ids)
    notes = music.notes
    assert (notes["end_us"] > notes["start_us"]).all()
    assert len(notes) == sum(token < v.NOTE_OFF for token in ids)
    assert not len(music.pedal)
    assert encode(music).dtype == np.uint16


@pytest.mark.parametrize("seed", [1])
def test_pieces_of_maestro_equal_note_seq_but_for_its_roundings(shared_data, seed: int) -> None:
    """Ids differ only around times that lie within a float's error of half a step."""
    note_seq = pytest.importorskip("note_seq", reason="the reference encoder is not installed")
    from note_seq import midi_io, sequences_lib
    from note_seq.performance_lib import Performance as Reference

    from perceiver_music.music.midi_file import read_midi

    assert note_seq is not None
    files = sorted((shared_data / "maestro-v3.0.0").glob("*/*.midi"))
    if not files:
        pytest.skip("MAESTRO is not beside the checkout")
    first_id = {1: 0, 2: 128, 3: 255, 4: 355}
    for path in np.random.default_rng(seed).choice(files, 4, replace=False):
        sequence = sequences_lib.apply_sustain_control_changes(
            midi_io.midi_file_to_note_sequence(str(path))
        )
        quantized = sequences_lib.quantize_note_sequence_absolute(sequence, 100)
        reference = Reference(quantized, num_velocity_bins=32)
        expected = [first_id[event.event_type] + event.event_value for event in reference]
        music = read_midi(path).performance
        found = encode(music).tolist()
        assert encode(decode(found)).tolist() == found
        if found != expected:
            assert _near_half_steps(music), path
            assert abs(len(found) - len(expected)) <= 8, path


def _near_half_steps(music: Performance) -> bool:
    """Whether some moment of the music lies on the edge between two steps."""
    times = np.concatenate((music.notes["start_us"], music.notes["end_us"], music.pedal["time_us"]))
    return bool((np.abs(times % 10_000 - 5_000) <= 1).any())
