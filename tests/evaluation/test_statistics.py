"""Figures of small pieces whose figures a person can count."""

import math

import numpy as np
import pytest

from perceiver_music.evaluation.statistics import (
    CIRCLING_SECONDS,
    circles_from,
    inter_onset_seconds,
    longest_loop,
    music_statistics,
    overlapping_area,
    pitch_class_histogram,
    repeated_share,
)
from perceiver_music.music.key import estimated_key, key_fits
from perceiver_music.music.performance import NoteArray, note_array

SECOND = 1_000_000
MAJOR_SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0])


def melody(pitch: np.ndarray, step: float = 0.5, length: float = 0.5) -> NoteArray:
    start = (np.arange(len(pitch)) * step * SECOND).astype(np.int64)
    return note_array(start, start + int(length * SECOND), pitch, np.full(len(pitch), 64))


def test_a_small_piece_is_counted() -> None:
    """Two notes together, a gap of two seconds, one note."""
    start = np.array([1, 1, 5]) * SECOND
    notes = note_array(start, np.array([3, 2, 6]) * SECOND, [60, 64, 67], [40, 60, 80])
    found = music_statistics(notes)
    assert (found.notes, found.seconds, found.notes_per_second) == (3, 5.0, 0.6)
    assert found.polyphony == pytest.approx(4 / 3)
    assert (found.lowest, found.highest) == (60, 67)
    assert found.longest_silence == 2.0
    assert found.pitch_class_entropy == pytest.approx(1.5)
    assert (found.velocity_mean, found.velocity_spread) == (60, pytest.approx(16.33, abs=0.01))
    assert (found.repeated_share, found.longest_loop) == (0.0, 0.0)


def test_a_held_note_is_no_silence() -> None:
    notes = note_array(
        [0, SECOND, 9 * SECOND], [8 * SECOND, 2 * SECOND, 10 * SECOND], [60] * 3, [9] * 3
    )
    assert music_statistics(notes).longest_silence == 1.0


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no notes"):
        music_statistics(melody(np.array([], dtype=int)))


@pytest.mark.parametrize("tonic", range(12))
def test_keys_are_found_wherever_they_are(tonic: int) -> None:
    names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    major = pitch_class_histogram(melody(60 + tonic + MAJOR_SCALE))
    assert estimated_key(major) == f"{names[tonic]} major"
    minor_scale = np.array([0, 2, 3, 5, 7, 8, 11, 12, 7, 3, 0, 7, 0])
    minor = pitch_class_histogram(melody(60 + tonic + minor_scale))
    assert estimated_key(minor) == f"{names[tonic]} minor"
    assert key_fits(major).shape == (24,)


def test_no_key_fits_a_cluster() -> None:
    assert key_fits(np.full(12, 1 / 12)).tolist() == [0.0] * 24


def test_pitch_classes_are_weighted_by_duration() -> None:
    notes = note_array([0, 0], [3 * SECOND, SECOND], [60, 74], [64, 64])
    assert pitch_class_histogram(notes)[[0, 2]].tolist() == [0.75, 0.25]
    assert pitch_class_histogram(melody(np.array([60, 62]), length=0.0))[0] == 0.5


def test_overlapping_area() -> None:
    edges = np.arange(0, 5)
    assert overlapping_area([0.5, 1.5], [0.1, 1.9], edges) == 1.0
    assert overlapping_area([0.5, 0.5], [3.5], edges) == 0.0
    assert overlapping_area([0.5, 1.5], [1.5, 2.5], edges) == 0.5
    assert overlapping_area([-9.0], [0.5], edges) == 1.0


def test_inter_onset_times_are_in_order() -> None:
    notes = note_array([SECOND, 0, 4 * SECOND], [9 * SECOND] * 3, [60] * 3, [9] * 3)
    assert inter_onset_seconds(notes).tolist() == [1.0, 3.0]


def test_a_phrase_said_twice_is_repeated_but_no_loop() -> None:
    phrase = np.random.default_rng(0).permutation(np.arange(40, 80))
    notes = melody(np.concatenate((phrase, phrase)))
    assert repeated_share(notes) == pytest.approx(33 / 73)
    assert longest_loop(notes) == 0.0
    assert repeated_share(melody(phrase)) == 0.0


@pytest.mark.parametrize("period", [1, 3, 32])
def test_a_loop_is_measured(period: int) -> None:
    rng = np.random.default_rng(period)
    before, after = rng.permutation(np.arange(21, 60)), rng.permutation(np.arange(61, 100))
    group = rng.permutation(np.arange(60, 108))[:period]
    notes = melody(np.concatenate((before, np.tile(group, 5), after)))
    length = 5 * period * 0.5
    assert longest_loop(notes) == pytest.approx(length, abs=1.0)
    assert music_statistics(notes).longest_loop == longest_loop(notes)
    assert longest_loop(melody(np.tile(group, 2))) == 0.0


def test_chance_has_the_most_entropy() -> None:
    assert music_statistics(melody(np.arange(48, 72))).pitch_class_entropy == pytest.approx(
        math.log2(12)
    )


def test_circles_begin_with_the_third_round_and_do_not_end() -> None:
    rng = np.random.default_rng(1)
    intro, phrase = rng.integers(40, 80, 40), rng.integers(40, 80, 24)
    found = circles_from(melody(np.concatenate([intro, *[phrase] * 6])))
    assert found == pytest.approx(0.5 * (40 + 2 * 24 + 7))
    twice = melody(np.concatenate([intro, phrase, phrase]))
    led_on = melody(np.concatenate([intro, *[phrase] * 6, rng.integers(40, 80, 200)]))
    short = melody(np.concatenate([intro, *[phrase] * 6]), step=CIRCLING_SECONDS / 100 / 2)
    for music in (twice, led_on, short, melody(intro), melody(intro[:3])):
        assert circles_from(music) is None


def test_a_slip_now_and_then_does_not_hide_a_circle() -> None:
    rng = np.random.default_rng(2)
    phrase = rng.integers(40, 80, 40)
    rounds = np.concatenate([phrase] * 12)
    rounds[rng.integers(0, len(rounds), 12)] += 1
    assert circles_from(melody(rounds)) is not None
