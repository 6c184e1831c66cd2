"""Audio files: a write that fails is told, whichever it is and whoever passes over it."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from perceiver_music.audio.encoding import AUDIO_FORMATS, Encoding, write_audio
from perceiver_music.errors import UsageError

RATE = 32_000
SECONDS = 2
KINDS = [(name, depth) for name, kind in AUDIO_FORMATS.items() for depth in kind.subtypes]


def encoding(name: str, depth: str = "16") -> Encoding:
    return Encoding(audio_format=AUDIO_FORMATS[name], bit_depth=depth, sample_rate=RATE)


def sound() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, (SECONDS * RATE, 2))
    return noise.clip(-0.9, 0.9).astype(np.float32)


class Disk:
    """Gives files that count their writes, one of which may fail."""

    def __init__(self, failing_write: int = 0) -> None:
        self.failing_write, self.writes = failing_write, 0
        self.threads: set[threading.Thread] = set()

    def take_the_place_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "open", lambda path, mode: self.open(path, mode))

    def open(self, path: Path, mode: str) -> io.BufferedWriter:
        disk = self

        class File(io.FileIO):
            def write(self, data: object) -> int:
                disk.writes += 1
                disk.threads.add(threading.current_thread())
                if disk.writes == disk.failing_write:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)  # type: ignore[arg-type]

        return io.BufferedWriter(File(path, mode))


@pytest.mark.parametrize(("name", "depth"), KINDS)
def test_what_was_written_is_read_again(tmp_path: Path, name: str, depth: str) -> None:
    path = tmp_path / "sound"
    assert write_audio(path, [sound()[:RATE], sound()[RATE:]], encoding(name, depth)) == len(
        sound()
    )
    samples, rate = soundfile.read(path)
    assert rate == RATE
    assert samples.shape == sound().shape
    if name in ("wav", "flac"):
        np.testing.assert_allclose(samples, sound(), atol=2**-15)


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_every_write_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    healthy = Disk()
    healthy.take_the_place_of_ours(monkeypatch)
    write_audio(tmp_path / "sound", [sound()], encoding(name))
    assert healthy.writes > 1
    # All of them would be hundreds; the first and the last are those of headers.
    middle = range(4, healthy.writes - 4, max(1, healthy.writes // 8))
    for place in {1, 2, 3, *middle, *range(healthy.writes - 3, healthy.writes + 1)}:
        Disk(place).take_the_place_of_ours(monkeypatch)
        with pytest.raises(OSError, match="No space left"):
            write_audio(tmp_path / "sound", [sound()], encoding(name))


def test_nothing_is_written_where_a_signal_would_be_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    disk.take_the_place_of_ours(monkeypatch)
    write_audio(tmp_path / "sound", [sound()], encoding("wav"))
    assert threading.main_thread() not in disk.threads


def test_what_the_blocks_raise_gets_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield sound()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_audio(tmp_path / "sound", interrupted(), encoding("flac"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("bit_depth", "is_way_out"), [("16", False), ("24", True)])
def test_a_wav_file_that_is_too_long_is_told_what_helps(bit_depth: str, is_way_out: bool) -> None:
    with pytest.raises(UsageError, match="4 GiB") as caught:
        encoding("wav", bit_depth).refuse_too_long(1 << 31)
    assert caught.value.hint is not None
    assert ".flac" in caught.value.hint
    assert ("16 bits" in caught.value.hint) == is_way_out
