"""Which SoundFont plays, and what is refused as one."""

import os
from pathlib import Path

import pytest

from perceiver_music.audio.soundfonts import find_soundfont, inspect_soundfont
from perceiver_music.errors import InvalidInputError, StorageError


def test_there_is_one_with_a_piano() -> None:
    font = find_soundfont()
    assert font.path.is_file()
    assert font.piano == (0, 0)


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"RIFF\x10\0\0\0DLS xxxxxxxx", b"MThd\0\0\0\6\0\0\0\1\1\xe0", b"\0" * 99]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "font.sf2"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError):
        inspect_soundfont(path)


def test_a_font_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.sf2"
    path.write_bytes(find_soundfont().path.read_bytes()[:100_000])
    with pytest.raises(InvalidInputError, match="cut short"):
        find_soundfont(path)


def test_a_missing_file_is_not_quietly_replaced(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        find_soundfont(tmp_path / "absent.sf2")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.sf2")
    with pytest.raises(InvalidInputError, match="pipe"):
        inspect_soundfont(tmp_path / "x.sf2")
