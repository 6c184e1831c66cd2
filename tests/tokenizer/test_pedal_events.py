"""The events of a few notes and pedal moves spelled out, exact round trips, and any ids at all."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceiver_music.music.midi_file import parse_midi, read_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.music.sustain import apply_sustain
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.pedal_events import decode, encode

MS = 1_000


def performance(
    *rows: tuple[int, int, int, int], pedal: tuple[tuple[int, int], ...] = ()
) -> Performance:
    """Notes as (start ms, end ms, pitch, velocity), pedal moves as (ms, value)."""
    notes = [(start * MS, end * MS, pitch, velocity) for start, end, pitch, velocity in rows]
    moves = [(time * MS, value) for time, value in pedal]
    return Performance(np.array(notes, dtype=NOTE_DTYPE), np.array(moves, dtype=PEDAL_DTYPE))


def events(music: Performance) -> list[tuple[str, int]]:
    return [v.PEDAL.describe(token) for token in encode(music).tolist()]


def test_a_note_is_as_long_as_its_key_is_down() -> None:
    music = performance((0, 100, 60, 61), pedal=((50, 90), (700, 0)))
    assert events(music) == [
        ("VELOCITY", 61),
        ("NOTE_ON", 60),
        ("TIME_SHIFT", 5),
        ("PEDAL", 90),
        ("TIME_SHIFT", 5),
        ("NOTE_OFF", 60),
        ("TIME_SHIFT", 60),
        ("PEDAL", 0),
    ]


def test_every_velocity_is_its_own() -> None:
    music = performance((0, 10, 60, 61), (0, 10, 62, 62), (0, 10, 64, 62))
    assert events(music)[:5] == [
        ("VELOCITY", 61),
        ("NOTE_ON", 60),
        ("VELOCITY", 62),
        ("NOTE_ON", 62),
        ("NOTE_ON", 64),
    ]


def test_a_pedal_message_that_changes_nothing_is_none() -> None:
    music = performance((10, 20, 60, 64), pedal=((0, 0), (10, 5), (12, 5), (300, 6)))
    assert [value for name, value in events(music) if name == "PEDAL"] == [5, 6]


@pytest.mark.parametrize(
    ("pedal_ms", "names"),
    [(99, ["PEDAL", "NOTE_OFF"]), (100, ["PEDAL", "NOTE_OFF"]), (101, ["NOTE_OFF", "PEDAL"])],
)
def test_within_a_step_it_shows_whether_the_pedal_catches_the_note(
    pedal_ms: int, names: list[str]
) -> None:
    music = performance((0, 100, 60, 64), pedal=((pedal_ms, 127), (900, 0)))
    assert [name for name, _ in events(music)][3:5] == names
    heard = apply_sustain(decode(encode(music))).notes["end_us"]
    assert heard.tolist() == ([900_000] if names[0] == "PEDAL" else [100_000 - 100])


def test_onsets_of_a_step_come_last_and_from_low_to_high() -> None:
    music = performance((0, 100, 50, 64), (96, 200, 72, 64), (104, 200, 48, 64), pedal=((103, 9),))
    assert events(music)[3:7] == [
        ("NOTE_OFF", 50),
        ("PEDAL", 9),
        ("NOTE_ON", 48),
        ("NOTE_ON", 72),
    ]


def test_a_note_made_longer_still_comes_back() -> None:
    """Its release moves to a step without the pedal move that it came before."""
    music = performance((0, 200, 74, 64), (186, 188, 90, 64), pedal=((189, 40), (195, 50)))
    ids = encode(music)
    assert encode(decode(ids)).tolist() == ids.tolist()


def test_the_pedal_alone_has_events_and_silence_none() -> None:
    assert events(performance(pedal=((20, 3),))) == [("TIME_SHIFT", 2), ("PEDAL", 3)]
    assert len(encode(performance())) == 0
    assert decode([]).num_notes == 0


notes = st.lists(
    st.tuples(
        st.integers(0, 6_000), st.integers(0, 4_000), st.integers(20, 30), st.integers(1, 127)
    ),
    max_size=30,
)
moves = st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 127)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(notes, moves)
def test_what_was_written_comes_back(
    rows: list[tuple[int, int, int, int]], pedal: list[tuple[int, int]]
) -> None:
    music = performance(*((s, s + d, p, vel) for s, d, p, vel in rows), pedal=tuple(pedal))
    ids = encode(music)
    back = decode(ids)
    assert encode(back).tolist() == ids.tolist()
    values = [value for _, value in sorted(pedal, key=lambda move: move[0])]
    changes = [b for a, b in zip([0, *values], values, strict=False) if a != b]
    assert back.pedal["value"].tolist() == changes
    assert sorted(back.notes["velocity"]) == sorted(music.notes["velocity"])


@settings(max_examples=100, deadline=None)
@given(notes, moves)
def test_and_through_a_file(
    rows: list[tuple[int, int, int, int]], pedal: list[tuple[int, int]]
) -> None:
    """Where no key is struck again before it was released, which a file cannot say."""
    free: dict[int, int] = {}
    kept = []
    for start, length, pitch, velocity in sorted(rows):
        if start >= free.get(pitch, 0):
            kept.append((start, start + length, pitch, velocity))
            free[pitch] = start + length + 20
    ids = encode(performance(*kept, pedal=tuple(pedal)))
    from_file = parse_midi(performance_to_midi(decode(ids)), name="again").performance
    assert encode(from_file).tolist() == ids.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, v.PEDAL.size - 1), max_size=200))
def test_anything_decodes_to_a_performance_that_comes_back(ids: list[int]) -> None:
    once = decode(encode(decode(ids)))
    again = decode(encode(once))
    assert np.array_equal(once.notes, again.notes)
    assert np.array_equal(once.pedal, again.pedal)


def test_pieces_of_maestro_keep_every_move_and_every_onset(shared_data: Path) -> None:
    """A sample; `benchmarks/pedal` takes all of them."""
    folder = shared_data / "maestro-v3.0.0"
    with (folder / "maestro-v3.0.0.csv").open(encoding="utf-8") as stream:
        names = [row["midi_filename"] for row in csv.DictReader(stream)][::320]
    for name in names:
        music = read_midi(folder / name).performance
        back = decode(encode(music))
        value = music.pedal["value"].astype(int)
        kept = music.pedal[np.diff(value, prepend=0) != 0]
        assert np.array_equal(kept["value"], back.pedal["value"])
        assert np.abs(kept["time_us"] - back.pedal["time_us"]).max(initial=0) <= 5_200
        step = (music.notes["start_us"] + 5_000) // 10_000
        expected = music.notes[np.lexsort((music.notes["start_us"], music.notes["pitch"], step))]
        for column in ("pitch", "velocity"):
            assert np.array_equal(expected[column], back.notes[column])
        assert np.abs(expected["start_us"] - back.notes["start_us"]).max() <= 5_000
