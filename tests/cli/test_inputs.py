"""Files, folders, globs and standard input become inputs."""

import io
import os
import sys
from pathlib import Path

import pytest

from perceiver_music.cli.inputs import listed_on_stdin, resolve_inputs
from perceiver_music.dataset.folder import list_sources
from perceiver_music.errors import InvalidInputError, StorageError, UsageError

MIDI = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(MIDI)


def _pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def _names(*words: str) -> list[str]:
    return [item.name for item in resolve_inputs(words)]


def test_files_keep_their_order_and_come_once() -> None:
    _touch("b.mid", "a.mid")
    assert _names("b.mid", "a.mid", "b.mid") == ["b.mid", "a.mid"]


def test_a_folder_is_searched_in_the_order_of_bytes() -> None:
    _touch("f/b.mid", "f/a.MIDI", "f/deep/c.rmi", "f/notes.txt", "f/.hidden.mid", "f/.git/d.mid")
    assert _names("f") == ["f/a.MIDI", "f/b.mid", "f/deep/c.rmi"]


def test_commands_and_preprocess_take_the_same_files_of_a_folder() -> None:
    _touch(*(f"f/x{suffix}" for suffix in (".mid", ".midi", ".smf", ".kar", ".rmi", ".syx")))
    taken = [source.file.name for source in list_sources(["f"]).sources]
    assert sorted(taken) == sorted(Path(name).name for name in _names("f"))
    assert len(taken) == 5


def test_a_folder_without_music_fails_alone() -> None:
    Path("empty").mkdir()
    _touch("a.mid")
    empty, music = resolve_inputs(["empty", "a.mid"])
    assert isinstance(empty.failure, InvalidInputError)
    assert music.source == Path("a.mid")
    with pytest.raises(InvalidInputError):
        _ = empty.source


def test_a_glob_and_a_glob_that_matches_nothing() -> None:
    _touch("x1.mid", "x2.mid", "y/x3.mid")
    assert _names("x?.mid") == ["x1.mid", "x2.mid"]
    assert _names("**/*3.mid") == ["y/x3.mid"]
    [nothing] = resolve_inputs(["z*.mid"])
    assert isinstance(nothing.failure, StorageError)


def test_a_name_that_looks_like_a_glob_is_a_name() -> None:
    _touch("Op. 10 [live].mid")
    assert _names("Op. 10 [live].mid") == ["Op. 10 [live].mid"]


def test_names_that_no_system_has() -> None:
    for word in ("", "a\0b"):
        [item] = resolve_inputs([word])
        assert isinstance(item.failure, StorageError)


def test_a_bundled_primer_that_is_not_here_is_pointed_to() -> None:
    name = "bach_prelude_c_major.mid"
    (item,) = resolve_inputs([f"elsewhere/{name}"])
    assert isinstance(item.failure, StorageError)
    assert item.failure.hint is not None
    assert item.failure.hint.endswith(f"primers/{name}")
    (item,) = resolve_inputs(["Bach_Prelude_C_major"])
    assert item.failure is not None
    _touch(name)
    (item,) = resolve_inputs([name])
    assert item.path == Path(name)


def test_a_midi_file_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, MIDI)
    [item] = resolve_inputs(["-"])
    assert (item.name, item.source, item.stem) == ("-", MIDI, "stdin")
    with pytest.raises(UsageError):
        _ = item.file_path


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_on_stdin(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    _touch("a b.mid", "c.mid", "d.mid")
    _pipe(monkeypatch, end.join([b"a b.mid", b"[cd].mid", b"gone.mid"]) + end)
    names = [item.name for item in resolve_inputs(["-"])]
    assert names == ["a b.mid", "c.mid", "d.mid", "gone.mid"]


@pytest.mark.parametrize("data", [b"", b"no list\nof ours", b"x" * 10_000])
def test_neither_a_file_nor_a_list_on_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    _pipe(monkeypatch, data)
    [item] = resolve_inputs(["-"])
    assert isinstance(item.failure, InvalidInputError)


def test_stdin_is_read_once() -> None:
    with pytest.raises(UsageError, match="only once"):
        resolve_inputs(["-", "-"])


def test_a_terminal_is_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="terminal"):
        resolve_inputs(["-"])


def test_a_closed_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(StorageError):
        resolve_inputs(["-"])


def test_words_with_a_list_in_the_place_of_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    _touch("a.mid", "b.mid")
    _pipe(monkeypatch, b"a.mid\nb.mid\n")
    assert listed_on_stdin(["folder", "-", "*.mid"]) == ("folder", "a.mid", "b.mid", "*.mid")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_holds_nothing_up() -> None:
    _touch("a/x.mid")
    os.mkfifo("a/pipe.mid")
    assert _names("a") == ["a/x.mid"]
