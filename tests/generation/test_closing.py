"""What sounds is let go at its time, in order."""

from perceiver_music.generation.closing import closing_ids
from perceiver_music.tokenizer import vocabulary as v


def test_keys_are_let_go_in_the_order_of_their_ends() -> None:
    ids = closing_ids({60: 150, 40: 10, 62: 150}, 5)
    names = [v.describe(token) for token in ids]
    assert names == [
        ("TIME_SHIFT", 5),
        ("NOTE_OFF", 40),
        ("TIME_SHIFT", 100),
        ("TIME_SHIFT", 40),
        ("NOTE_OFF", 60),
        ("NOTE_OFF", 62),
    ]


def test_what_should_have_ended_already_is_let_go_at_once_and_the_rest_in_time() -> None:
    names = [v.describe(token) for token in closing_ids({60: 3, 62: 20}, 5)]
    assert names == [("NOTE_OFF", 60), ("TIME_SHIFT", 15), ("NOTE_OFF", 62)]
