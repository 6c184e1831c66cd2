"""Which files the user means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perceiver_music.dataset.folder import is_music_file, list_sources
from perceiver_music.errors import InvalidInputError, StorageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in ("a.mid", "B.MIDI", "deep/er/c.kar", "deep/d.mid", "notes.txt", "e.tfrecord"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def paths(*given: str | Path) -> list[str]:
    return sorted(source.path for source in list_sources(given).sources)


def test_a_folder(folder: Path) -> None:
    assert paths(folder) == ["B.MIDI", "a.mid", "deep/d.mid", "deep/er/c.kar", "e.tfrecord"]
    titles = {source.path: source.title for source in list_sources([folder]).sources}
    assert titles["deep/er/c.kar"] == "c"


def test_hidden_files_are_nobodys_music(folder: Path) -> None:
    before = paths(folder)
    (folder / "._a.mid").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.mid").write_bytes(b"x")
    (folder / "folder.mid").mkdir()
    (folder / "dangling.mid").symlink_to("nowhere")
    assert paths(folder) == before


def test_files_and_patterns(folder: Path) -> None:
    assert paths(folder / "a.mid") == ["a.mid"]
    assert paths(folder / "notes.txt") == ["notes.txt"]  # asked for by name, so it is tried
    assert paths(folder / "*.mid") == ["a.mid"]
    assert paths(folder / "**" / "*.mid") == ["a.mid", "d.mid"]


def test_a_name_that_looks_like_a_pattern(folder: Path) -> None:
    (folder / "take [1].mid").write_bytes(b"x")
    assert paths(folder / "take [1].mid") == ["take [1].mid"]


def test_a_file_given_twice_is_one(folder: Path) -> None:
    (folder / "link.mid").symlink_to(folder / "a.mid")
    assert len(paths(folder, folder / "a.mid", folder / "*.mid")) == len(paths(folder)) == 5


def test_several_folders_keep_their_files_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.mid").write_bytes(b"y")
    assert {"music/a.mid", "other/a.mid"} <= set(paths(folder, other))


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("a/midi/x.mid", "b/midi/x.mid", "b/midi/y.mid", "c/x.mid", "z/a/midi/x.mid"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    a, b, c, z = (tmp_path / name for name in ("a/midi", "b/midi", "c", "z/a"))
    # What nobody else is called stays as it is, and with it the order of the store.
    assert paths(a, b) == ["a/midi/x.mid", "b/midi/x.mid", "midi/y.mid"]
    assert paths(a, c) == ["c/x.mid", "midi/x.mid"]
    assert paths(a / "x.mid", b / "x.mid", c / "x.mid") == [
        "a/midi/x.mid",
        "b/midi/x.mid",
        "c/x.mid",
    ]
    # A longer name may be somebody's already.
    top = tmp_path.name
    assert paths(a, b, z) == [
        "b/midi/x.mid",
        "midi/y.mid",
        f"{top}/a/midi/x.mid",
        "z/a/midi/x.mid",
    ]


def test_a_linked_folder_and_another_of_its_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "deep").symlink_to(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "d.mid").write_bytes(b"y")
    assert paths(folder / "deep", tmp_path / "links" / "deep") == [
        "deep/d.mid",
        "deep/er/c.kar",
        "other/d.mid",
    ]
    assert paths(folder / "deep" / "d.mid", tmp_path / "links" / "deep" / "d.mid") == [
        "deep/d.mid",
        "other/d.mid",
    ]


def test_two_folders_of_maestro(tmp_path: Path) -> None:
    row = "canonical_composer,canonical_title,split,midi_filename\nX,Y,train,2004/x.midi\n"
    for name in ("one", "two"):
        (tmp_path / name / "2004").mkdir(parents=True)
        (tmp_path / name / "maestro-v3.0.0.csv").write_text(row)
        (tmp_path / name / "2004" / "x.midi").write_bytes(b"x")
    assert paths(tmp_path / "one") == ["2004/x.midi"]
    assert paths(tmp_path / "one", tmp_path / "two") == ["one/2004/x.midi", "two/2004/x.midi"]


def test_the_order_is_that_of_the_names_alone(folder: Path, tmp_path: Path) -> None:
    order = [source.path for source in list_sources([folder]).sources]
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert [source.path for source in list_sources([moved]).sources] == order
    given = [moved / name for name in ("a.mid", "B.MIDI", "deep/d.mid")]
    one, other = list_sources(given), list_sources(given[::-1])
    assert one.sources == other.sources


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mid")
    (tmp_path / name).write_bytes(b"x")
    assert paths(tmp_path) == [name]


def test_nothing_there(tmp_path: Path) -> None:
    for missing in (tmp_path / "missing", tmp_path / "*.mid"):
        with pytest.raises(StorageError) as failure:
            list_sources([missing])
        assert failure.value.exit_code == 74
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="no MIDI file") as refusal:
        list_sources([tmp_path])
    assert refusal.value.exit_code == 65


def test_a_listing_whose_every_row_is_bad(tmp_path: Path) -> None:
    (tmp_path / "maestro-v3.0.0.csv").write_text(
        "canonical_composer,canonical_title,split,midi_filename\nx,x,train,missing.midi\n"
    )
    with pytest.raises(InvalidInputError, match=r"missing\.midi"):
        list_sources([tmp_path])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mid", True),
        ("a.MIDI", True),
        ("a.rmi", True),
        ("a.pb", True),
        ("a.tfrecord-00001-of-00010", True),
        ("a.mid.txt", False),
        ("mid", False),
        ("a.wav", False),
    ],
)
def test_names_of_music(name: str, expected: bool) -> None:
    assert is_music_file(Path(name)) is expected
