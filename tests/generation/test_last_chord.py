"""Which keys ring on at the end of a piece, and how well they suit its key."""

import numpy as np
import pytest

from perceiver_music.generation.last_chord import LET_GO_STEPS, LastChords, Tonic, pitches_of
from perceiver_music.tokenizer import vocabulary as v

C_MAJOR = (0, 2, 4, 5, 7, 9, 11)
RING = 200


def played(*pitches: int, shift: int = 20) -> list[int]:
    """Events of notes one after the other, the last just struck."""
    ids = [i for p in pitches for i in (v.NOTE_ON + p, v.TIME_SHIFT + shift - 1, v.NOTE_OFF + p)]
    return ids[:-2]


def chords_in_c() -> LastChords:
    return LastChords(played(*[60 + step for step in (*C_MAJOR, 0, 0, 4, 7)] * 30), RING)


@pytest.mark.parametrize("root", [0, 5])
@pytest.mark.parametrize(("scale", "third"), [(C_MAJOR, 4), ((0, 2, 3, 5, 7, 8, 11), 3)])
def test_the_tonic_is_that_of_the_notes(root: int, scale: tuple[int, ...], third: int) -> None:
    degrees = [*range(7), 0, 0, 0, 4, 4, 2]
    tonic = Tonic.of([60 + root + scale[degree] for degree in degrees] * 20)
    assert (tonic.root, tonic.triad) == (
        root,
        {(root + step) % 12 for step in (0, third, 7)},
    )
    low = 36 + root
    chord = [low, low + 7, low + 12 + third]
    full = tonic.suits(chord)
    assert full > tonic.suits([low, low + 12]) > tonic.suits([low, low + 6])
    assert full > tonic.suits([low - 5, low, low + third])
    assert full > tonic.suits([low, low + 7])
    assert full > tonic.suits([pitch + 36 for pitch in chord])


def test_a_bass_in_the_bass_register_counts_for_more() -> None:
    melody = [60, 62, 64, 67, 69, 71] * 20 + [65] * 20
    roots = {fis: Tonic.of(melody + [fis] * 14).root for fis in (42, 66)}
    assert roots == {42: 7, 66: 0}


def test_the_whole_piece_has_a_say_in_the_key() -> None:
    in_c, in_g = [48, 60, 64, 65, 67, 71], [43, 55, 59, 62, 66, 67]
    assert Tonic.of(in_c * 100 + in_g * 35).root == 0
    assert Tonic.of((in_c * 100 + in_g * 35)[-300:]).root == 7
    assert Tonic.of(in_c * 20 + in_g * 100).root == 7


def test_its_triad_leads_to_it_and_its_root_most_of_all() -> None:
    leaning = Tonic(root=2, triad=frozenset({2, 6, 9})).leaning()
    assert leaning[[38, 62, 66, 45, 60, 37]].tolist() == [2, 1, 1, 1, 0, 0]


def test_what_belongs_to_the_tonic_rings_on_and_the_rest_is_let_go() -> None:
    step = 1000
    deadlines = {36: 1400, 43: 1100, 53: 1500, 64: 1800, 67: 1800}
    chord = chords_in_c().at(step, played(53, 64, 67, shift=60), deadlines)
    assert chord is not None
    assert chord.ends == {
        36: step + RING,
        43: step + LET_GO_STEPS,  # It is to be let go before the chord has rung out.
        53: step + LET_GO_STEPS,
        64: step + RING,
        67: step + RING,
    }


def test_it_is_judged_by_what_rings_on() -> None:
    deadlines = dict.fromkeys((36, 41, 64, 67), 2000)
    with_bass = chords_in_c().at(1000, played(64, 67, shift=60), deadlines)
    del deadlines[36]
    without = chords_in_c().at(1000, played(64, 67, shift=60), deadlines)
    assert with_bass is not None
    assert without is not None
    assert with_bass.suits > without.suits


def test_a_key_struck_twice_in_a_moment_is_no_last_chord() -> None:
    assert chords_in_c().at(1000, played(60, 64, 60, shift=10), {60: 2000}) is None
    assert chords_in_c().at(1000, played(60, 64, 60, shift=25), {60: 2000}) is not None


def test_the_key_is_that_of_the_music_just_before_and_not_of_the_chord() -> None:
    chords = LastChords(played(*[66 + step for step in C_MAJOR] * 60), RING)
    in_c = played(*[60 + step for step in (*C_MAJOR, 0, 0, 4, 7)] * 30, 36)
    chord = chords.at(1000, in_c, {36: 2000})
    assert chord is not None
    assert chord.suits == Tonic.of(pitches_of(in_c)).suits([36])


def test_pitches_are_those_of_notes_that_begin() -> None:
    assert np.array_equal(pitches_of([v.BOS, *played(60, 62), v.EOS]), [60, 62])
