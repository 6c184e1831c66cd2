"""Audio files: which formats there are, what each can hold, and writing them block by block."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perceiver_music.audio.watched_file import WatchedFile
from perceiver_music.errors import StorageError, UsageError

CHANNELS = 2
WRITE_FRAMES = 65_536
"""libvorbis keeps a whole write on the stack: some minutes at once kill the process."""

MAX_WAV_BYTES = 2**32 - 4096
"""A WAV file counts its bytes in 32 bits; the rest is for its headers."""

COMMON_RATES = (32_000, 44_100, 48_000)
HIGH_RATES = (88_200, 96_000)


@dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """A kind of audio file.

    Attributes:
        name: ours, and the suffix without its dot.
        container: libsndfile's name of the file format.
        subtypes: bit depth, as the user names it, to libsndfile's sample format.
        sample_rates: those offered.
    """

    name: str
    container: str
    subtypes: dict[str, str]
    sample_rates: tuple[int, ...]


AUDIO_FORMATS = {
    audio_format.name: audio_format
    for audio_format in (
        AudioFormat(
            name="wav",
            container="WAV",
            subtypes={"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"},
            sample_rates=COMMON_RATES + HIGH_RATES,
        ),
        AudioFormat(
            name="flac",
            container="FLAC",
            subtypes={"16": "PCM_16", "24": "PCM_24"},
            sample_rates=COMMON_RATES + HIGH_RATES,
        ),
        AudioFormat(
            name="ogg",
            container="OGG",
            subtypes={"16": "VORBIS"},
            sample_rates=COMMON_RATES + HIGH_RATES,
        ),
        AudioFormat(
            name="mp3",
            container="MP3",
            subtypes={"16": "MPEG_LAYER_III"},
            sample_rates=COMMON_RATES,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A format with everything chosen.

    Raises:
        UsageError: the format cannot hold that bit depth or sample rate.
    """

    audio_format: AudioFormat
    bit_depth: str
    sample_rate: int

    def __post_init__(self) -> None:
        name = self.audio_format.name
        if self.bit_depth not in self.audio_format.subtypes:
            offered = ", ".join(self.audio_format.subtypes)
            raise UsageError(
                f"a .{name} file cannot have bit depth {self.bit_depth}",
                hint=f"For .{name} there is: {offered}.",
            )
        if self.sample_rate not in self.audio_format.sample_rates:
            *lower, highest = map(str, self.audio_format.sample_rates)
            raise UsageError(
                f"a .{name} file is not made with {self.sample_rate} samples a second",
                hint=f"Give --sample-rate one of {', '.join(lower)} and {highest}."
                + (" Other formats go higher." if self.sample_rate in HIGH_RATES else ""),
            )

    @property
    def subtype(self) -> str:
        """libsndfile's sample format."""
        return self.audio_format.subtypes[self.bit_depth]

    def refuse_too_long(self, num_frames: int) -> None:
        """Refuse what the format cannot count.

        Raises:
            UsageError: so many frames do not fit.
        """
        bytes_per_sample = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}.get(self.subtype, 0)
        is_wav = self.audio_format.name == "wav"
        if is_wav and num_frames * CHANNELS * bytes_per_sample > MAX_WAV_BYTES:
            raise UsageError(
                "so long a piece does not fit a WAV file, which ends at 4 GiB",
                hint="Write a .flac file" + (", or use 16 bits." if bytes_per_sample > 2 else "."),
            )


def audio_format_of(output: Path | None, name: str | None) -> AudioFormat:
    """The format that was named, else the one that the output's suffix says, else WAV.

    Raises:
        UsageError: there is no such format.
    """
    if name is None:
        name = "wav" if output is None else output.suffix.removeprefix(".")
    audio_format = AUDIO_FORMATS.get(name.lower())
    if audio_format is None:
        offered = ", ".join(f".{known}" for known in AUDIO_FORMATS)
        raise UsageError(
            f"{name!r} is not an audio format" if name else "the output has no audio suffix",
            path=output,
            hint=f"Take one of {offered}.",
        )
    return audio_format


def write_audio(
    path: str | os.PathLike[str],
    blocks: Iterable[npt.NDArray[np.float32]],
    encoding: Encoding,
) -> int:
    """Write stereo blocks as they come and check that the file holds them all.

    Args:
        path: the file, whatever its suffix.
        blocks: `[frames, 2]` each, within -1 and 1.
        encoding: the format.

    Returns:
        Frames written.

    Raises:
        OSError: a write failed, be it the last one of the header.
        StorageError: the file does not hold all frames.
    """
    import soundfile  # takes a tenth of a second that `--help` need not wait for

    with Path(path).open("wb") as file:
        watched = WatchedFile(file)
        try:
            num_frames = _encode(watched, blocks, encoding)
        # soundfile asserts that libsndfile took every frame: on a full disk it does not.
        except (soundfile.SoundFileError, AssertionError) as error:
            raise watched.failure or _unwritable(str(error)) from error
        if watched.failure is not None:
            raise watched.failure
    try:
        found = soundfile.info(os.fspath(path)).frames
    except soundfile.SoundFileError as error:
        raise _unwritable(str(error)) from error
    if found != num_frames:
        raise _unwritable(f"{found} of {num_frames} frames arrived")
    return num_frames


def _encode(
    file: WatchedFile, blocks: Iterable[npt.NDArray[np.float32]], encoding: Encoding
) -> int:
    """Give libsndfile the blocks; returns the frames."""
    import soundfile

    num_frames = 0
    # C drops the exception of a signal while it calls back; signals come to the main thread alone.
    with ThreadPoolExecutor(max_workers=1) as apart:
        sound = apart.submit(
            soundfile.SoundFile,
            file,
            "w",
            samplerate=encoding.sample_rate,
            channels=CHANNELS,
            format=encoding.audio_format.container,
            subtype=encoding.subtype,
        ).result()
        try:
            for block in blocks:
                for start in range(0, len(block), WRITE_FRAMES):
                    apart.submit(sound.write, block[start : start + WRITE_FRAMES]).result()
                num_frames += len(block)
        finally:
            apart.submit(sound.close).result()
    return num_frames


def _unwritable(reason: str) -> StorageError:
    return StorageError(
        f"the audio could not be written whole ({reason})".replace(" ()", ""),
        hint="Check the space on this disk.",
    )
