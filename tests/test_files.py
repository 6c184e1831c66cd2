"""Files that are either old or new, and checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_music import files
from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError

OLD, NEW = b"old and whole", b"new and whole"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.bin"


# Writing


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_new_file(tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "new" / "folders" / "file.bin"
    files.write_bytes_atomically(target, NEW, overwrite=overwrite)
    assert target.read_bytes() == NEW
    assert names(target.parent) == ["file.bin"]


def test_its_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with files.write_atomically(tmp_path / "ours", overwrite=False) as temporary:
        temporary.write_bytes(b"")
        temporary.chmod(0o600)  # as writers do that make their own temporary file
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_overwriting(target: Path) -> None:
    target.write_bytes(OLD)
    with files.write_atomically(target, overwrite=True) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == target.suffix
        temporary.write_bytes(NEW)
        assert target.read_bytes() == OLD
    assert target.read_bytes() == NEW
    assert names(target.parent) == [target.name]


def test_overwriting_is_forbidden(target: Path) -> None:
    target.write_bytes(OLD)
    with pytest.raises(OutputExistsError) as failure:
        files.write_bytes_atomically(target, NEW, overwrite=False)
    assert failure.value.exit_code == 73
    assert failure.value.path == str(target)
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize("has_links", [True, False])
def test_another_writer_was_quicker(
    target: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))

    def write_too_late() -> None:
        with files.write_atomically(target, overwrite=False) as temporary:
            temporary.write_bytes(NEW)
            target.write_bytes(OLD)

    with pytest.raises(OutputExistsError):
        write_too_late()
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


def test_of_many_writers_one_wins(target: Path) -> None:
    script = (
        "import sys\n"
        "from perceiver_music.files import write_bytes_atomically\n"
        "from perceiver_music.errors import OutputExistsError\n"
        "sys.stdin.read(1)\n"
        "try: write_bytes_atomically(sys.argv[1], sys.argv[2].encode() * 9999, overwrite=False)\n"
        "except OutputExistsError: sys.exit(73)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, target, str(number)],
            stdin=subprocess.PIPE,
            env=environment,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    codes = [writer.wait(60) for writer in writers]
    assert sorted(codes) == [0, 73, 73, 73]
    assert target.read_bytes() == str(codes.index(0)).encode() * 9999
    assert names(target.parent) == [target.name]


def test_file_systems_without_links(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EOPNOTSUPP))
    files.write_bytes_atomically(target, NEW, overwrite=False)
    assert target.read_bytes() == NEW
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_fails(target: Path, failure: type[BaseException]) -> None:
    def write_a_part() -> None:
        with files.write_atomically(target, overwrite=True) as temporary:
            temporary.write_bytes(NEW[:3])
            raise failure

    target.write_bytes(OLD)
    with pytest.raises(failure):
        write_a_part()
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


def failing(code: int) -> object:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


STEPS = [
    ("os.open", True),
    ("os.open", False),
    ("pathlib.Path.write_bytes", True),
    ("pathlib.Path.write_bytes", False),
    ("os.fsync", True),
    ("os.fsync", False),
    ("pathlib.Path.replace", True),
    ("os.link", False),
]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(("step", "overwrite"), STEPS)
def test_every_step_that_can_fail(
    target: Path, monkeypatch: pytest.MonkeyPatch, step: str, overwrite: bool, code: int
) -> None:
    if overwrite:
        target.write_bytes(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(step, failing(code))
        with pytest.raises(StorageError) as failure:
            files.write_bytes_atomically(target, NEW, overwrite=overwrite)
    assert failure.value.exit_code == 74
    assert failure.value.path == str(target)
    assert failure.value.hint
    assert names(target.parent) == ([target.name] if overwrite else [])
    if overwrite:
        assert target.read_bytes() == OLD


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (folder, pipe, Path("/dev/null"), tmp_path / ("x" * 300)):
        with pytest.raises(StorageError):
            files.write_bytes_atomically(path, NEW, overwrite=True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["folder", "pipe"]


def test_a_part_of_the_path_is_a_file(target: Path) -> None:
    target.write_bytes(OLD)
    with pytest.raises(StorageError):
        files.write_bytes_atomically(target / "below", NEW, overwrite=True)


def test_a_dangling_link_is_something(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError):
        files.write_bytes_atomically(tmp_path / "link", NEW, overwrite=False)
    assert names(tmp_path) == ["link"]


def test_long_names(tmp_path: Path) -> None:
    for name in ("x" * 251 + ".mid", "." + "ü" * 120, "a." + "b" * 200):
        files.write_bytes_atomically(tmp_path / name, NEW, overwrite=False)
        assert (tmp_path / name).read_bytes() == NEW


# Reading


def test_reading(target: Path) -> None:
    target.write_bytes(NEW)
    assert files.read_bytes(target) == NEW
    assert files.read_bytes(target, limit=len(NEW)) == NEW
    with pytest.raises(InvalidInputError) as failure:
        files.read_bytes(target, limit=len(NEW) - 1)
    assert failure.value.exit_code == 65


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        for read in (files.read_bytes, files.sha256_of_file):
            with pytest.raises(StorageError) as failure:
                read(path)
            assert failure.value.path == str(path)
            assert failure.value.hint


def test_an_endless_file_is_read_no_further_than_its_limit() -> None:
    with pytest.raises(InvalidInputError):
        files.read_bytes("/dev/zero", limit=1_000)


def test_checksums(target: Path) -> None:
    data = bytes(range(256)) * 5_000
    target.write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    assert files.sha256_of_file(target) == files.sha256_of_bytes(data) == expected


# Folders on the way


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    files.probe_output(tmp_path / "new" / "folders" / "file.bin", overwrite=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 300, "new/" + "x" * 300, "y" * 300 + "/x", "file.bin/x"])
def test_a_probe_fails_as_writing_would(target: Path, name: str) -> None:
    target.write_bytes(OLD)
    for attempt in (
        lambda: files.probe_output(target.parent / name, overwrite=False),
        lambda: files.write_bytes_atomically(target.parent / name, NEW, overwrite=False),
    ):
        with pytest.raises(StorageError):
            attempt()
    assert names(target.parent) == [target.name]


def test_a_failure_leaves_no_empty_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folders" / "file.bin"
    with pytest.raises(KeyboardInterrupt), files.write_atomically(target, overwrite=False):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("name", ["x.mid", "new/x.mid"])
def test_a_folder_that_takes_no_files(name: str) -> None:
    for attempt in (
        lambda: files.probe_output(Path("/proc", name), overwrite=False),
        lambda: files.write_bytes_atomically(Path("/proc", name), NEW, overwrite=False),
    ):
        with pytest.raises(StorageError, match=r"^/proc: nothing can be written") as failure:
            attempt()
        assert failure.value.hint == "Choose another one."
