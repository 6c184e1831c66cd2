"""Folders that are either whole or absent."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from perceiver_music import folders
from perceiver_music.errors import InvalidInputError, OutputExistsError, StorageError
from perceiver_music.files import sha256_of_bytes
from perceiver_music.folders import check_file_table, file_table, write_folder_atomically


def write(target: Path, text: str, *, overwrite: bool = False) -> None:
    with write_folder_atomically(target, overwrite=overwrite) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text(text)
        (folder / "b").write_text(text)


def content(target: Path) -> str:
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "deep"]
    texts = {(target / "deep" / "a").read_text(), (target / "b").read_text()}
    assert len(texts) == 1
    return texts.pop()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "target"
    write(target, "one")
    assert content(target) == "one"
    assert names(target.parent) == ["target"]


def test_overwriting(tmp_path: Path) -> None:
    target = tmp_path / "target"
    write(target, "one")
    with pytest.raises(OutputExistsError):
        write(target, "two")
    assert content(target) == "one"
    write(target, "two", overwrite=True)
    assert content(target) == "two"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "target"

    def write_a_part() -> None:
        with write_folder_atomically(target, overwrite=True) as folder:
            (folder / "a").write_text("half")
            raise failure

    write(target, "one")
    with pytest.raises(failure):
        write_a_part()
    assert content(target) == "one"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("is_known", [True, False], ids=["in one step", "plain rename"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_known: bool
) -> None:
    if not is_known:
        monkeypatch.setattr(folders, "_RENAMES", ())
    target = tmp_path / "target"
    theirs = target if kind == "file" else target / "theirs"

    def write_while_others_do() -> None:
        with write_folder_atomically(target, overwrite=False) as folder:
            (folder / "a").write_text("mine")
            theirs.parent.mkdir(exist_ok=True)
            theirs.write_text("theirs")

    with pytest.raises(OutputExistsError):
        write_while_others_do()
    assert theirs.read_text() == "theirs"
    assert names(tmp_path) == ["target"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts on renameat2")
def test_a_new_name_is_given_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what comes after the last look is replaced."""
    (tmp_path / "one").mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(OutputExistsError):
        folders._publish_new(tmp_path / "one", tmp_path / "empty")
    assert names(tmp_path) == ["empty", "one"]


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_a_file_is_not_overwritten_by_a_folder(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    with pytest.raises(OutputExistsError, match="not a folder"):
        write(target, "one", overwrite=True)
    assert target.is_symlink() if kind == "dangling" else target.read_text() == "mine"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_folders_made_on_the_way_go_with_a_failure(tmp_path: Path, overwrite: bool) -> None:
    def fail() -> None:
        with write_folder_atomically(tmp_path / "a" / "b" / "c", overwrite=overwrite):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert names(tmp_path) == []


def test_without_an_exchange_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_RENAMES", ())
    target = tmp_path / "target"
    write(target, "one")
    write(target, "two", overwrite=True)
    assert content(target) == "two"
    assert names(tmp_path) == ["target"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts on renameat2")
def test_an_exchange_leaves_no_moment_without_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(self: Path, to: Any) -> Path:
        raise AssertionError("the old folder loses its name")

    target = tmp_path / "target"
    write(target, "one")
    monkeypatch.setattr(Path, "rename", forbid)
    write(target, "two", overwrite=True)
    assert content(target) == "two"
    assert names(tmp_path) == ["target"]


def test_an_exchange_that_fails(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        folders._renamed(tmp_path / "one", tmp_path / "missing", "exchange")


def test_leavings_of_a_killed_writer(tmp_path: Path) -> None:
    mine = [".git", ".x.tmp", "0123456789abcdef.tmp", ".0123456789abcdef.zip"]
    leavings = [".0123456789abcdef.tmp", ".0123456789abcdef.old", ".0123456789abcdef.tmp.mid"]
    for name in mine + leavings[2:]:
        (tmp_path / name).write_text("")
    for name in leavings[:2]:
        (tmp_path / name / "deep").mkdir(parents=True)
    folders.remove_leavings(tmp_path)
    assert names(tmp_path) == sorted(mine)


def test_removing_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "target", "one")
    folders.remove_folder(tmp_path / "target")
    folders.remove_folder(tmp_path / "missing")
    assert names(tmp_path) == []


@pytest.mark.parametrize(("nth_rename", "has_old"), [(1, False), (1, True), (2, True)])
def test_a_rename_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth_rename: int, has_old: bool
) -> None:
    monkeypatch.setattr(folders, "_RENAMES", ())
    target = tmp_path / "target"
    if has_old:
        write(target, "one")
    real, calls = Path.rename, 0

    def rename(self: Path, to: Any) -> Path:
        nonlocal calls
        calls += 1
        if calls == nth_rename:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError):
        write(target, "two", overwrite=True)
    if has_old:
        assert content(target) == "one"
    assert names(tmp_path) == (["target"] if has_old else [])


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) as failure:
        write(tmp_path / "target", "one")
    assert failure.value.exit_code == 74
    assert names(tmp_path) == []


def fail_close(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """The nth close from now on fails; it has closed all the same."""
    real, calls = os.close, 0

    def close(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        real(descriptor)
        if calls == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", close)


@pytest.mark.parametrize("nth_close", range(1, 4))
def test_removing_goes_on_after_a_close_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth_close: int
) -> None:
    write(tmp_path / "target", "one")
    fail_close(monkeypatch, nth_close)
    folders.remove_folder(tmp_path / "target")
    assert names(tmp_path) == []


@pytest.mark.parametrize("has_exchange", [True, False])
@pytest.mark.parametrize("nth_close", range(1, 9))
def test_a_close_that_fails_while_overwriting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth_close: int, has_exchange: bool
) -> None:
    if not has_exchange:
        monkeypatch.setattr(folders, "_RENAMES", ())
    target = tmp_path / "target"
    write(target, "one")
    fail_close(monkeypatch, nth_close)
    try:
        write(target, "two", overwrite=True)
    except StorageError:
        assert content(target) in ("one", "two")
    else:
        assert content(target) == "two"
    assert names(tmp_path) == ["target"]


def test_a_table_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"aaa")
    (tmp_path / "b").write_bytes(b"")
    table = file_table(tmp_path)
    assert {name: entry["bytes"] for name, entry in table.items()} == {"a": 3, "b": 0}
    check_file_table(tmp_path, table)


@pytest.mark.parametrize("damage", [b"aab", b"aaaa", b"", None])
def test_damage_is_told_from_the_table(tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"aaa")
    table = file_table(tmp_path)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(InvalidInputError, match="'a'"):
        check_file_table(tmp_path, table)


def test_a_table_that_names_a_file_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    table = {"../a": {"bytes": 3, "sha256": sha256_of_bytes(b"aaa")}}
    (tmp_path / "a").write_bytes(b"aaa")
    with pytest.raises(InvalidInputError):
        check_file_table(folder, table)
