"""Numbers of processes in the environment, and what is none."""

import pytest

from perceiver_music.errors import UsageError
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.training.torchrun import local_rank, world_size


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "")
    assert (world_size(), local_rank()) == (1, 0)


def test_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_RANK", "7")
    assert (world_size(), local_rank()) == (16, 7)


@pytest.mark.parametrize("word", ["x", "0", "-1", "1.5", "9" * 5000])
def test_no_number_of_processes(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", word)
    with pytest.raises(UsageError, match="WORLD_SIZE=") as caught:
        TrainRequest()
    assert len(caught.value.message) < 100


def test_no_number_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(UsageError, match="LOCAL_RANK=first"):
        local_rank()
