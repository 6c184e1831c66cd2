"""Music that is like another stretch of it, and music that is not."""

import pytest

from perceiver_music.generation.likeness import unlikeness
from perceiver_music.tokenizer import vocabulary as v


def playing(*pitches: int, every: int = 20, velocity_bin: int = 15, seconds: int = 8) -> list[int]:
    """These keys by turns, each struck so many steps after the one before."""
    tokens = [v.VELOCITY + velocity_bin]
    for i in range(100 * seconds // every):
        pitch = pitches[i % len(pitches)]
        tokens += [v.NOTE_ON + pitch, v.TIME_SHIFT + every - 1, v.NOTE_OFF + pitch]
    return tokens


C_MAJOR = (60, 64, 67, 72)


def test_what_is_the_same_is_not_unlike_however_long() -> None:
    assert unlikeness(playing(*C_MAJOR), playing(*C_MAJOR)) == pytest.approx(0.0, abs=1e-6)
    longer = playing(*C_MAJOR, seconds=16)
    assert unlikeness(playing(*C_MAJOR), longer) < 1.0


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (playing(*C_MAJOR, every=15), playing(*C_MAJOR, every=5)),
        (playing(*C_MAJOR, velocity_bin=17), playing(*C_MAJOR, velocity_bin=28)),
        (playing(60, 64, 67, 71), playing(61, 66, 70, 73)),
        (playing(60, 64, 67, 71), []),
    ],
)
def test_the_further_off_the_more_unlike(near: list[int], far: list[int]) -> None:
    music = playing(*C_MAJOR)
    assert 0.0 < unlikeness(near, music) < unlikeness(far, music)
    assert unlikeness(far, music) == pytest.approx(unlikeness(music, far))


def test_of_nothing_and_nothing() -> None:
    assert unlikeness([], []) == 0.0
    assert unlikeness([v.TIME_SHIFT + 99] * 3, []) > 0.0
