"""How many threads there are to be is said by the environment, up to what there is."""

import pytest

from perceiver_music import processors


@pytest.mark.parametrize(
    ("word", "expected"),
    [("", 6), ("1", 1), ("4", 4), (" 3,2", 3), ("64", 6), ("0", 6), ("-1", 6), ("many", 6)],
)
def test_the_environment_may_ask_for_fewer(
    monkeypatch: pytest.MonkeyPatch, word: str, expected: int
) -> None:
    monkeypatch.setattr(processors, "num_processors", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", word)
    assert processors.num_threads() == expected


def test_without_a_word_every_processor_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert processors.num_threads() == processors.num_processors() >= 1
