"""What a synthesizer is told, in the order in which it has to hear it."""

import numpy as np
import pytest

from perceiver_music.audio.sound_events import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, sound_events
from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_file import CONTROL_DTYPE
from perceiver_music.music.performance import NOTE_DTYPE

HOUR_US = 3_600_000_000


def notes(*rows: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(list(rows), dtype=NOTE_DTYPE)


def controls(*rows: tuple[int, int, int]) -> np.ndarray:
    table = np.zeros(len(rows), dtype=CONTROL_DTYPE)
    for row, (time_us, number, value) in zip(table, rows, strict=True):
        row["time_us"], row["number"], row["value"] = time_us, number, value
    return table


def told(note_rows: np.ndarray, control_rows: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [tuple(event) for event in sound_events(note_rows, control_rows).events.tolist()]


def test_notes_become_strikes_and_releases() -> None:
    assert told(notes((0, 500, 60, 80)), controls()) == [
        (0, NOTE_ON, 60, 80),
        (1_000, NOTE_OFF, 60, 0),  # struck and let go at once is still struck
    ]


def test_at_one_moment_pedals_come_first_then_releases_then_strikes() -> None:
    music = notes((0, 5_000, 60, 80), (5_000, 9_000, 60, 70))
    assert told(music, controls((5_000, 64, 127))) == [
        (0, NOTE_ON, 60, 80),
        (5_000, CONTROL_CHANGE, 64, 127),
        (5_000, NOTE_OFF, 60, 0),
        (5_000, NOTE_ON, 60, 70),
        (9_000, NOTE_OFF, 60, 0),
    ]


def test_a_pedal_is_a_switch_and_other_controllers_are_left_out() -> None:
    moves = controls((0, 64, 10), (1, 64, 80), (2, 64, 90), (3, 7, 1), (4, 64, 20), (5, 67, 64))
    heard = [event[:3] for event in told(notes((0, 9_000, 60, 80)), moves)]
    pedals = [(time, number) for time, kind, number in heard if kind == CONTROL_CHANGE]
    assert pedals == [(1, 64), (4, 64), (5, 67)]


def test_a_key_held_twice_rises_with_the_last() -> None:
    music = notes((0, 5_000, 60, 80), (2_000, 9_000, 60, 70))
    releases = [event for event in told(music, controls()) if event[1] == NOTE_OFF]
    assert releases == [(9_000, NOTE_OFF, 60, 0)]


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no note"):
        sound_events(notes(), controls())
    with pytest.raises(InvalidInputError, match="hours"):
        sound_events(notes((7 * HOUR_US, 7 * HOUR_US + 1, 60, 80)), controls())


def test_a_key_is_struck_once_in_a_moment_as_loud_as_the_loudest() -> None:
    rows = [(0, 9_000, 60, 50), (0, 9_000, 60, 90), (400, 9_000, 60, 70)]
    rows += [(1_000, 9_000, 60, 60), (0, 9_000, 64, 40)]
    strikes = [event for event in told(notes(*rows), controls()) if event[1] == NOTE_ON]
    assert strikes == [(0, NOTE_ON, 60, 90), (0, NOTE_ON, 64, 40), (1_000, NOTE_ON, 60, 60)]
