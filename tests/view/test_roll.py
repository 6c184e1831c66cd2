"""What is drawn: which notes are new, from which pitch to which, in which words."""

import numpy as np
import pytest

from perceiver_music.music.performance import Performance, note_array
from perceiver_music.view.roll import Roll, is_black, pitch_name

SECOND = 1_000_000


def test_what_is_new(performance: Performance) -> None:
    roll = Roll.of(performance, title="x", new_us=(6 * SECOND, None))
    assert roll.num_notes == 48
    assert roll.is_new.tolist() == [start >= 6 for start in roll.start]
    assert roll.new == ((6.0, 12.0),)
    assert "New music begins at 0:06." in roll.description()
    gap = Roll.of(performance, title="x", new_us=(3 * SECOND, 6 * SECOND))
    assert gap.is_new.sum() == 12
    assert "begins at 0:03 and ends at 0:06" in gap.description()
    assert not Roll.of(performance, title="x").is_new.any()


def test_of_a_duet_it_says_whose_turn_it_is(duet: Roll, performance: Performance) -> None:
    assert duet.new == ((3.0, 5.0), (9.0, 11.0))
    assert duet.is_new.sum() == 16
    assert duet.has_both
    assert duet.seams() == [(3.0, "answer"), (9.0, "answer")]
    assert "2 answers, the first at 0:03" in duet.description()
    alone = Roll.of(performance, title="x", is_answer=np.zeros(48, dtype=np.bool_))
    assert (alone.new, alone.has_both, alone.seams()) == ((), False, [])


def test_the_pedal_is_down_where_it_is(performance: Performance) -> None:
    roll = Roll.of(performance, title="x")
    assert roll.has_pedal
    spans = [(round(b, 3), round(e, 3), round(d, 2)) for b, e, d in roll.pedal_spans()]
    assert spans == [(0, 3, 1.0), (3, 6, 0.5)]


def test_little_music_has_room_too() -> None:
    notes = note_array([0], [0], [127], [1])
    roll = Roll.of(Performance(notes=notes), title="x")
    assert roll.pitch_range == (104, 127)
    assert "1 note in 0:00" in roll.description()
    assert roll.seconds > 0
    assert not roll.has_pedal
    with pytest.raises(ValueError, match="no notes"):
        Roll.of(Performance(notes=notes[:0]), title="x")


def test_names() -> None:
    assert [pitch_name(p) for p in (21, 60, 61, 108)] == ["A0", "C4", "C♯4", "C8"]
    assert np.flatnonzero([is_black(p) for p in range(12)]).tolist() == [1, 3, 6, 8, 10]
