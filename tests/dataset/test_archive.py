"""Unpacking: nothing outside, nothing but files, never more than agreed."""

from __future__ import annotations

import hashlib
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from perceiver_music.dataset.archive import unpack_zip
from perceiver_music.dataset.checksums import LIST_NAME, read_checksums, write_checksums
from perceiver_music.errors import InvalidInputError, StorageError


def make_zip(
    path: Path, members: dict[str, bytes], *, mode: int = 0, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            archive.writestr(info, data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "surroundings" / "into"
    path.mkdir(parents=True)
    return path


def unpack(archive: Path, folder: Path, most_bytes: int = 10_000) -> dict[str, str]:
    return unpack_zip(archive, folder, root="set", most_bytes=most_bytes)


def refused(archive: Path, folder: Path, match: str, most_bytes: int = 10_000) -> None:
    """Refused with 65, and not a byte written anywhere."""
    with pytest.raises(InvalidInputError, match=match) as failure:
        unpack(archive, folder, most_bytes)
    assert failure.value.exit_code == 65
    assert [path for path in folder.parent.rglob("*") if path != folder] == []


def test_an_honest_archive(tmp_path: Path, folder: Path) -> None:
    members = {"set/": b"", "set/2004/": b"", "set/2004/a.midi": b"aaa", "set/list.csv": b"bb"}
    reports: list[tuple[int, int]] = []
    archive = make_zip(tmp_path / "x.zip", members)
    checksums = unpack_zip(
        archive,
        folder,
        root="set",
        most_bytes=5,
        on_bytes=lambda done, total: reports.append((done, total)),
    )
    assert checksums == {
        "2004/a.midi": hashlib.sha256(b"aaa").hexdigest(),
        "list.csv": hashlib.sha256(b"bb").hexdigest(),
    }
    assert (folder / "2004" / "a.midi").read_bytes() == b"aaa"
    assert sorted(path.name for path in folder.iterdir()) == ["2004", "list.csv"]
    assert reports == [(3, 5), (5, 5)]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "set/../../evil",
        "set/a/../../evil",
        "/evil",
        "//evil",
        "C:/evil",
        "set\\..\\..\\evil",
        "..",
    ],
)
def test_names_that_lead_outside(tmp_path: Path, folder: Path, name: str) -> None:
    refused(make_zip(tmp_path / "x.zip", {"set/a": b"a", name: b"evil"}), folder, "leads outside")


def test_a_name_with_a_zero_byte(tmp_path: Path, folder: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/aXb": b"a"})
    archive.write_bytes(archive.read_bytes().replace(b"set/aXb", b"set/a\0b"))
    refused(archive, folder, "leads outside")


@pytest.mark.parametrize("name", ["other/a", "set", "a"])
def test_names_outside_the_root(tmp_path: Path, folder: Path, name: str) -> None:
    refused(make_zip(tmp_path / "x.zip", {"set/a": b"a", name: b"b"}), folder, "not in the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(tmp_path: Path, folder: Path, kind: int) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/a": b"/etc/passwd"}, mode=kind | 0o777)
    refused(archive, folder, "link or a device")


def test_a_name_twice(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "x.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("set/a", b"one")
        archive.writestr("set/./a", b"two")
    refused(path, folder, "there twice")


def test_a_file_that_is_a_folder_too(tmp_path: Path, folder: Path) -> None:
    refused(make_zip(tmp_path / "x.zip", {"set/a": b"", "set/a/b": b""}), folder, "and a folder")


def test_a_bomb_by_its_own_word(tmp_path: Path, folder: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/a": bytes(1_000_000), "set/b": bytes(10)})
    assert archive.stat().st_size < 10_000
    refused(archive, folder, "more than 1,000,000", most_bytes=1_000_000)


@pytest.mark.parametrize("said", [100, 2_000_000])
def test_a_bomb_that_lies_about_its_size(tmp_path: Path, folder: Path, said: int) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/a": bytes(1_000_000)})
    data = archive.read_bytes().replace(struct.pack("<I", 1_000_000), struct.pack("<I", said))
    archive.write_bytes(data)
    with pytest.raises(InvalidInputError):
        unpack(archive, folder, most_bytes=3_000_000)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in written) <= said


def test_more_files_than_anybody_has(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perceiver_music.dataset.archive.MAX_FILES", 3)
    members = {f"set/{number}": b"" for number in range(4)}
    refused(make_zip(tmp_path / "x.zip", members), folder, "4 files, more than 3")


def test_methods_that_are_not_read(tmp_path: Path, folder: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/a": b"a"}, method=zipfile.ZIP_BZIP2)
    refused(archive, folder, "method 12")


def test_encryption(tmp_path: Path, folder: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"set/a": b"a"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    refused(archive, folder, "encrypted")


def test_nothing_in_it(tmp_path: Path, folder: Path) -> None:
    refused(make_zip(tmp_path / "x.zip", {}), folder, "no file")
    refused(make_zip(tmp_path / "y.zip", {"set/": b""}), folder, "no file")


def test_damage_never_passes(tmp_path: Path, folder: Path) -> None:
    """Each byte of a small archive changed, and each length: read rightly or refused, 65."""
    archive = make_zip(tmp_path / "x.zip", {"set/a": b"some text, some text"})
    whole = archive.read_bytes()
    right = unpack(archive, folder)
    damaged = [whole[:length] for length in range(len(whole))]
    for place in range(len(whole)):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    num_refused = 0
    for number, data in enumerate(damaged):
        archive.write_bytes(data)
        into = tmp_path / str(number)
        into.mkdir()
        try:
            found = unpack(archive, into)
        except InvalidInputError:
            num_refused += 1
        else:
            # Dates, modes and versions may change, and a name; content never.
            assert list(found.values()) == list(right.values())
    assert num_refused > len(damaged) / 2


def test_not_an_archive(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"<html>404</html>")
    refused(path, folder, "not a whole zip")
    with pytest.raises(StorageError):
        unpack(tmp_path / "missing.zip", folder)


def test_a_list_of_checksums(tmp_path: Path) -> None:
    checksums = {"b c/ä.midi": "0" * 64, "a": "f" * 64}
    write_checksums(tmp_path, checksums)
    assert (tmp_path / LIST_NAME).read_text().startswith("f" * 64 + "  a\n")
    assert read_checksums(tmp_path) == checksums


def test_no_list_of_checksums(tmp_path: Path) -> None:
    assert read_checksums(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\n",
        b"0" * 64 + b"  ../a\n",
        b"0" * 64 + b"  /a\n",
        b"0" * 63 + b"  a\n",
        (b"0" * 64 + b"  a\n") * 2,
        b"0" * 64 + b"  \xff\n",
    ],
)
def test_a_list_that_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / LIST_NAME).write_bytes(text)
    with pytest.raises(InvalidInputError):
        read_checksums(tmp_path)
