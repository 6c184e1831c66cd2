"""How many threads there are to be is said by the environment, up to what there is."""

from pathlib import Path

import pytest

from perceiver_music import processors


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", 6),
        ("1", 1),
        ("4", 4),
        (" 3,2", 3),
        ("64", 6),
        ("0", 6),
        ("-1", 6),
        ("many", 6),
        ("9" * 5000, 6),
    ],
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


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("250000 100000\n", 3),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("100000 0\n", 8),
        ("", 8),
    ],
)
def test_a_container_has_no_more_than_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, expected: int
) -> None:
    monkeypatch.setattr(processors, "_num_allowed", lambda: 8)
    cpu_max = tmp_path / "cpu.max"
    assert processors.num_processors(cpu_max) == 8
    cpu_max.write_text(says)
    assert processors.num_processors(cpu_max) == expected
