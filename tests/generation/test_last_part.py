"""Where the last part begins, by what limits the music."""

import pytest

from perceiver_music.generation.last_part import ending_begins, joint_begins
from perceiver_music.generation.limits import Limits


def test_the_last_part_is_long_in_a_short_piece_and_short_in_a_long_one() -> None:
    assert ending_begins(Limits(end_step=6000)) == 0.75
    assert ending_begins(Limits(num_events=6000)) == 0.9
    assert ending_begins(Limits(num_notes=1500)) == 0.9
    assert ending_begins(Limits(end_step=1000)) == pytest.approx(0.4)
    assert ending_begins(Limits()) == 1.0


@pytest.mark.parametrize(("steps", "begins"), [(100, 0.0), (3200, 0.75)])
def test_the_last_part_is_the_whole_of_a_short_gap(steps: int, begins: float) -> None:
    assert joint_begins(Limits(end_step=steps)) == begins
