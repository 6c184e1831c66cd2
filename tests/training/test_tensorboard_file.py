"""What TensorBoard reads of our event files."""

import errno
from pathlib import Path

import pytest

from perceiver_music.errors import StorageError
from perceiver_music.training.tensorboard_file import TensorBoardFile

pytest.importorskip("tensorboard")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_it_and_forgets_what_was_taken_back(tmp_path: Path) -> None:
    first = TensorBoardFile(tmp_path, resumed_at=0)
    for step in (2, 4, 6):
        first.add({"a": step / 2, "b": -1.0}, step)
    first.close()
    assert scalars(tmp_path)["a"] == [(2, 1.0), (4, 2.0), (6, 3.0)]
    second = TensorBoardFile(tmp_path, resumed_at=4)
    second.add({"a": 9.0}, 6)
    second.close()
    assert scalars(tmp_path) == {"a": [(2, 1.0), (4, 2.0), (6, 9.0)], "b": [(2, -1.0), (4, -1.0)]}


def test_a_full_disk_is_a_failure_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    board = TensorBoardFile(tmp_path, resumed_at=0)
    monkeypatch.setattr(board._records, "write", no_space)
    with pytest.raises(StorageError):
        board.add({"a": 1.0}, 1)
    board.close()
