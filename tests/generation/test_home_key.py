"""New music far from the primer's key is led home; all else is left alone."""

import numpy as np
import pytest

from perceiver_music.generation.home_key import NEAR, KeyKeeper
from perceiver_music.music.key import key_fits
from perceiver_music.tokenizer import vocabulary as v

FLAT = np.zeros(v.VOCABULARY_SIZE, dtype=np.float32)
ALL = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)
C_MAJOR = (0, 4, 7, 0, 2, 5, 7, 11, 0, 4, 9, 7)


def playing(scale: tuple[int, ...], seconds: int, *, up: int = 0) -> list[int]:
    """Four notes a second."""
    notes = [60 + up + scale[i % len(scale)] for i in range(4 * seconds)]
    return [token for note in notes for token in (note, v.TIME_SHIFT + 24, v.NOTE_OFF + note)]


def after(primer: list[int], music: list[int], allowed: np.ndarray = ALL) -> np.ndarray:
    keeper = KeyKeeper([v.BOS, *primer])
    for token in music:
        keeper.take(token)
    return keeper.adjusted(FLAT, allowed)


@pytest.mark.parametrize("up", [0, 12])
def test_the_key_is_left_alone(up: int) -> None:
    assert after(playing(C_MAJOR, 20), playing(C_MAJOR, 12, up=up)) is FLAT


@pytest.mark.parametrize("up", [-7, 5, 7])
def test_its_neighbours_are_nearly_left_alone(up: int) -> None:
    bent = after(playing(C_MAJOR, 20), playing(C_MAJOR, 12, up=up))
    assert np.abs(bent).max() < 0.5


def test_far_keys_make_the_primer_s_pitch_classes_likelier() -> None:
    bent = after(playing(C_MAJOR, 20), playing(C_MAJOR, 12, up=6))[:128]
    home, foreign = bent[[60, 64, 67, 72]], bent[[61, 63, 66, 68, 70]]
    assert home.min() > 0 > foreign.max()
    assert bent[60] == bent[72]


def test_striking_a_key_is_as_likely_as_before() -> None:
    allowed = ALL.copy()
    allowed[[60, 61, 75]] = False
    bent = after(playing(C_MAJOR, 20), playing(C_MAJOR, 12, up=6), allowed)
    keys = np.flatnonzero(allowed[:128])
    assert np.exp(bent[keys]).sum() == pytest.approx(len(keys), rel=1e-5)
    assert (bent[[60, 61, 75]] == 0).all()
    assert (bent[v.NOTE_OFF :] == 0).all()


def test_the_further_off_the_stronger() -> None:
    pulls = [after(playing(C_MAJOR, 20), playing(C_MAJOR, 12, up=up))[60] for up in (0, 2, 6)]
    assert pulls[0] < pulls[1] < pulls[2]


@pytest.mark.parametrize("primer", [[], playing(C_MAJOR, 2)])
def test_a_primer_of_a_few_notes_has_no_key(primer: list[int]) -> None:
    assert after(primer, playing(C_MAJOR, 12, up=6)) is FLAT


def test_a_few_notes_of_new_music_have_none_either() -> None:
    assert after(playing(C_MAJOR, 20), playing(C_MAJOR, 2, up=6)) is FLAT


def test_one_note_alone_has_no_key() -> None:
    assert after(playing((0,), 20), playing(C_MAJOR, 12, up=6))[60] != 0
    assert np.isfinite(after(playing(C_MAJOR, 20), playing((1,), 12))).all()
    assert after(playing(tuple(range(12)), 21), playing((1,), 12)) is FLAT


def test_what_was_struck_long_ago_is_forgotten() -> None:
    far_then_home = playing(C_MAJOR, 12, up=6) + playing(C_MAJOR, 12)
    assert after(playing(C_MAJOR, 20), far_then_home) is FLAT


def test_agreement_is_the_correlation_of_key_fits() -> None:
    from perceiver_music.generation.home_key import _fit

    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 20, (2, 12))
    expected = np.corrcoef(key_fits(one), key_fits(other))[0, 1]
    assert _fit(one) @ _fit(other) == pytest.approx(expected)
    assert 0 < NEAR < 1
