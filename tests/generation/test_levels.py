"""Music after a file of few velocities has these and no others."""

import numpy as np
import pytest

from perceiver_music.generation.levels import LevelKeeper, few_levels
from perceiver_music.tokenizer import vocabulary as v

RNG = np.random.default_rng(0)
ANY = RNG.normal(size=v.VOCABULARY_SIZE).astype(np.float32)
ALL = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)
VELOCITIES = slice(v.VELOCITY, v.VELOCITY + v.NUM_VELOCITY_BINS)
STRIKES = slice(v.NOTE_ON, v.NOTE_OFF)


@pytest.mark.parametrize(
    ("velocities", "levels"),
    [
        ([], {}),
        ([80] * 11, {}),
        ([80] * 12, {20: 80}),
        ([80] * 20 + [50], {}),
        ([80] * 20 + [50] * 4, {20: 80, 13: 50}),
        ([80] * 20 + [79] * 30, {20: 79}),
        ([1] * 12 + [127] * 12, {1: 1, 32: 127}),
        ([10 * i for i in range(1, 9)] * 12, {}),
        (list(range(40, 100)) * 40, {}),
    ],
)
def test_a_file_has_few_velocities_or_none(velocities: list[int], levels: dict[int, int]) -> None:
    if len(set(velocities)) == 8:
        levels = {(velocity + 3) // 4: velocity for velocity in set(velocities)}
    assert few_levels(velocities, v.MAESTRO) == levels


def test_a_vocabulary_of_all_velocities_has_them_exactly() -> None:
    assert few_levels([80] * 20 + [79] * 30, v.PEDAL) == {80: 80, 79: 79}


def test_without_levels_nothing_changes() -> None:
    assert LevelKeeper({}, v.MAESTRO).adjusted(ANY, ALL, 3) is ANY


def test_other_velocities_become_the_nearest_that_there_is() -> None:
    bent = LevelKeeper({10: 40, 20: 80}, v.MAESTRO).adjusted(ANY, ALL, None)
    found = bent[VELOCITIES]
    assert np.flatnonzero(found > -1e3).tolist() == [9, 19]
    low, high = ANY[VELOCITIES][:15], ANY[VELOCITIES][15:]
    assert found[[9, 19]].tolist() == pytest.approx([np.logaddexp.reduce(x) for x in (low, high)])
    assert (bent[STRIKES] == ANY[STRIKES]).all()


def test_the_velocity_in_force_is_a_note_without_a_change() -> None:
    allowed = ALL.copy()
    allowed[v.NOTE_ON : v.NOTE_ON + 40] = False
    bent = LevelKeeper({20: 80}, v.MAESTRO).adjusted(ANY, allowed, 19)
    assert (bent[VELOCITIES] < -1e3).all()
    before = np.logaddexp.reduce(np.append(ANY[STRIKES][40:], ANY[VELOCITIES]))
    assert np.logaddexp.reduce(bent[STRIKES][40:]) == pytest.approx(before, abs=1e-5)
    assert np.ptp(bent[STRIKES] - ANY[STRIKES]) < 1e-5
    rest = slice(v.NOTE_OFF, v.VELOCITY)
    assert (bent[rest] == ANY[rest]).all()


def test_where_no_key_can_be_struck_nothing_is_made_up() -> None:
    allowed = ALL.copy()
    allowed[STRIKES] = False
    bent = LevelKeeper({20: 80}, v.MAESTRO).adjusted(ANY, allowed, 19)
    assert (bent[STRIKES] == ANY[STRIKES]).all()
    assert np.isfinite(bent).all()
