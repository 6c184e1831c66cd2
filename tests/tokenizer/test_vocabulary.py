"""One table, from which every id follows."""

import pytest

from perceiver_music.tokenizer import vocabulary as v


def test_ids_follow_the_table() -> None:
    assert (v.NOTE_ON, v.NOTE_OFF, v.TIME_SHIFT, v.VELOCITY) == (0, 128, 256, 356)
    assert (v.PAD, v.BOS, v.EOS, v.NUM_EVENT_IDS, v.VOCABULARY_SIZE) == (388, 389, 390, 388, 400)


@pytest.mark.parametrize(
    ("name", "value", "token"),
    [
        ("NOTE_ON", 0, 0),
        ("NOTE_ON", 127, 127),
        ("NOTE_OFF", 60, 188),
        ("TIME_SHIFT", 1, 256),
        ("TIME_SHIFT", 100, 355),
        ("VELOCITY", 1, 356),
        ("VELOCITY", 32, 387),
        ("BOS", 0, 389),
        ("RESERVED", 8, 399),
    ],
)
def test_names_and_ids_are_two_ways_to_say_the_same(name: str, value: int, token: int) -> None:
    assert v.token_id(name, value) == token
    assert v.describe(token) == (name, value)


@pytest.mark.parametrize(("name", "value"), [("NOTE_ON", 128), ("TIME_SHIFT", 0), ("REST", 1)])
def test_there_are_no_others(name: str, value: int) -> None:
    with pytest.raises(ValueError, match="no event"):
        v.token_id(name, value)
