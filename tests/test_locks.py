"""One holder at a time, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_music.errors import BusyError, StorageError
from perceiver_music.locks import exclusive_lock


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.bin"


HOLDER = """
import sys
from perceiver_music.locks import exclusive_lock
with exclusive_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_once(target: Path) -> None:
    with exclusive_lock(target):
        with pytest.raises(BusyError) as failure, exclusive_lock(target):
            pass
        assert failure.value.exit_code == 75
        with exclusive_lock(target.with_name("another")):
            pass
    with exclusive_lock(target):
        pass
    assert list(target.parent.iterdir()) == []


def test_a_lock_ends_with_a_failure(target: Path) -> None:
    with pytest.raises(ValueError, match="ours"), exclusive_lock(target):
        raise ValueError("ours")
    with exclusive_lock(target):
        pass


def test_a_holder_that_is_killed_leaves_no_lock(target: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError), exclusive_lock(target):
            pass
        holder.kill()
    with exclusive_lock(target):
        pass
    assert list(target.parent.iterdir()) == []


def test_a_lock_that_cannot_be_made(target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(StorageError) as failure, exclusive_lock(target / "below"):
        pass
    assert failure.value.path == os.fspath(target / "below")


def test_what_is_in_the_way_of_a_lock_is_named(target: Path) -> None:
    lock = target.with_name(f".{target.name}.lock")
    lock.mkdir()
    with pytest.raises(StorageError) as failure, exclusive_lock(target):
        pass
    assert failure.value.path == os.fspath(lock)
