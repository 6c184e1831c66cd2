"""What is shared out among threads is whole, and a failure of one part is everybody's."""

import threading

import pytest

from perceiver_music.model.native.side_by_side import run_all, shares


@pytest.mark.parametrize(
    ("count", "threads", "expected"),
    [
        (1, 8, [(0, 1)]),
        (8, 1, [(0, 8)]),
        (8, 3, [(0, 2), (2, 5), (5, 8)]),
        (3, 8, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_parts_are_of_about_one_size(
    count: int, threads: int, expected: list[tuple[int, int]]
) -> None:
    assert [(part.start, part.stop) for part in shares(count, threads)] == expected


def test_every_part_is_computed_at_once_and_the_last_on_this_thread() -> None:
    together = threading.Barrier(3, timeout=60)
    threads: dict[int, int] = {}

    def compute(part: slice) -> None:
        together.wait()  # none is over before all have begun
        threads[part.start] = threading.get_ident()

    run_all(compute, shares(3, 3))
    assert sorted(threads) == [0, 1, 2]
    assert len(set(threads.values())) == 3
    assert threads[2] == threading.get_ident()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_is_raised_once_all_are_done(failing: int) -> None:
    done: list[int] = []
    other_is_done = threading.Event()

    def compute(part: slice) -> None:
        if part.start == failing:
            raise MemoryError(f"part {part.start}")
        assert other_is_done.wait(timeout=60) or failing == 0
        done.append(part.start)

    threading.Timer(0.05, other_is_done.set).start()
    with pytest.raises(MemoryError, match=f"part {failing}"):
        run_all(compute, shares(2, 2))
    assert done == [1 - failing]
