"""`render`: MIDI in, sound out.

The sound is made once, measured on its way to a temporary file, then brought to its level and
encoded from there: memory stays bounded whatever the length.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.files import (
    probe_output,
    read_bytes,
    reporting_storage_errors,
    write_atomically,
)
from perceiver_music.jobs.progress import (
    Progress,
    ProgressCallback,
    WarningCallback,
    no_progress,
    no_warning,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from perceiver_music.audio.encoding import Encoding
    from perceiver_music.audio.mastering import LevelMeter, Master
    from perceiver_music.music.midi_file import MidiFile

    Block = npt.NDArray[np.float32]

_BLOCK_SECONDS = 10
_MAX_GAIN_DB = 60.0
_BYTES_PER_FRAME = 8


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """What to render and how.

    Attributes:
        midi: a MIDI file, or its bytes.
        input_name: what the input is called in messages; the path, or `-` for bytes.
        output: the audio file; None gives the bytes in the result.
        overwrite: whether an existing output is replaced.
        audio_format: `wav`, `flac`, `ogg` or `mp3`; None takes it from the output's suffix, and
            `wav` without an output.
        bit_depth: `16`, `24` or `float`; of WAV all, of FLAC the first two.
        sample_rate: frames a second.
        gain_db: louder or softer than the usual level; a limiter keeps peaks from clipping.
        reverb: whether the piano stands in a room.
        soundfont: a SoundFont file; None takes the best one that is installed.
        synthesizer: `system` or `pygame-ce`; None takes the first that is installed.
    """

    midi: Path | bytes
    input_name: str = ""
    output: Path | None = None
    overwrite: bool = False
    audio_format: str | None = None
    bit_depth: str = "16"
    sample_rate: int = 44_100
    gain_db: float = 0.0
    reverb: bool = True
    soundfont: Path | None = None
    synthesizer: str | None = None

    def __post_init__(self) -> None:
        if not -_MAX_GAIN_DB <= self.gain_db <= _MAX_GAIN_DB:
            raise UsageError(
                f"a gain of {self.gain_db:g} dB is out of range",
                hint=f"Use -{_MAX_GAIN_DB:g} to {_MAX_GAIN_DB:g} dB.",
            )


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """What was rendered.

    Attributes:
        input: the input's name.
        output: the file written; None when `audio` carries it.
        seconds: length of the audio.
        music_seconds: until the last key rises; the rest is tail.
        sample_rate: frames a second.
        audio_format: `wav`, `flac`, `ogg` or `mp3`.
        synthesizer: which one played, with its version and where it came from.
        soundfont: the SoundFont's path.
        peak_dbfs: highest sample before encoding; None when all is silent.
        loudness_lufs: integrated loudness (ITU-R BS.1770); None when all is silent.
        audio: the encoded file when no output was asked for.
    """

    input: str
    output: str | None
    seconds: float
    music_seconds: float
    sample_rate: int
    audio_format: str
    synthesizer: str
    soundfont: str
    peak_dbfs: float | None
    loudness_lufs: float | None
    audio: bytes | None = None

    def as_json(self) -> dict[str, object]:
        """The fields of the command's JSON object."""
        return {
            "input": self.input,
            "output": self.output,
            "seconds": self.seconds,
            "music_seconds": self.music_seconds,
            "sample_rate": self.sample_rate,
            "format": self.audio_format,
            "synthesizer": self.synthesizer,
            "soundfont": self.soundfont,
            "peak_dbfs": self.peak_dbfs,
            "loudness_lufs": self.loudness_lufs,
        }


def run(
    request: RenderRequest,
    on_progress: ProgressCallback = no_progress,
    warn: WarningCallback = no_warning,
) -> RenderResult:
    """Play a MIDI file into an audio file.

    Raises:
        UsageError: no such format, rate, depth or synthesizer.
        InvalidInputError: the MIDI or the SoundFont is not what it claims to be, there is no
            piano note, or more than six hours of them.
        UnavailableError: no synthesizer or SoundFont is installed.
        OutputExistsError: the output exists and is not to be overwritten.
        StorageError: reading or writing failed.
    """
    from perceiver_music.audio.fluidsynth_engine import SynthesisOptions
    from perceiver_music.audio.fluidsynth_library import load_fluidsynth
    from perceiver_music.audio.mastering import LevelMeter, decibels, master
    from perceiver_music.audio.sound_events import sound_events
    from perceiver_music.audio.soundfonts import find_soundfont
    from perceiver_music.audio.synthesizer_process import synthesize_apart
    from perceiver_music.music.midi_file import lack_of_notes
    from perceiver_music.music.performance import MICROSECONDS

    encoding = _encoding(request)
    midi = _read(request, warn)
    try:
        sound = sound_events(midi.performance.notes, midi.controls)
    except InvalidInputError as error:
        path = request.input_name or None
        message = error.message if midi.performance.num_notes else lack_of_notes(midi.warnings)
        raise InvalidInputError(message, path=path, hint=error.hint) from None
    if request.output is not None:
        probe_output(request.output, overwrite=request.overwrite)
    music_seconds = sound.end_us / MICROSECONDS
    encoding.refuse_too_long(round(music_seconds * request.sample_rate))
    library = load_fluidsynth(request.synthesizer)
    soundfont = find_soundfont(request.soundfont)
    meter = LevelMeter(request.sample_rate)
    options = SynthesisOptions(sample_rate=request.sample_rate, reverb=request.reverb)
    blocks = synthesize_apart(sound, library=library, soundfont=soundfont, options=options)
    with reporting_storage_errors(tempfile.gettempdir()), tempfile.TemporaryFile() as spill:
        num_frames = _measure(blocks, meter, spill, music_seconds, on_progress)
        gains = master(meter, request.gain_db)
        audio, peak = _encode(request, encoding, spill, gains)
    return RenderResult(
        input=request.input_name or str(request.midi),
        output=None if request.output is None else str(request.output),
        seconds=num_frames / request.sample_rate,
        music_seconds=music_seconds,
        sample_rate=request.sample_rate,
        audio_format=encoding.audio_format.name,
        synthesizer=library.description,
        soundfont=str(soundfont.path),
        peak_dbfs=decibels(peak) if peak > 0 else None,
        loudness_lufs=_loudness_after(meter, gains),
        audio=audio,
    )


def check(request: RenderRequest) -> None:
    """Find, before any music is read, what is wrong whatever the music.

    Raises:
        UsageError: no such format, rate, depth or synthesizer.
        InvalidInputError: the SoundFont is none.
        UnavailableError: the synthesizer that was named is not installed.
        StorageError: the SoundFont cannot be read.
    """
    from perceiver_music.audio.fluidsynth_library import load_fluidsynth
    from perceiver_music.audio.soundfonts import find_soundfont

    _encoding(request)
    if request.synthesizer is not None:
        load_fluidsynth(request.synthesizer)
    if request.soundfont is not None:
        find_soundfont(request.soundfont)


def _encoding(request: RenderRequest) -> Encoding:
    from perceiver_music.audio.encoding import Encoding, audio_format_of

    return Encoding(
        audio_format=audio_format_of(request.output, request.audio_format),
        bit_depth=request.bit_depth,
        sample_rate=request.sample_rate,
    )


def _read(request: RenderRequest, warn: WarningCallback) -> MidiFile:
    from perceiver_music.music.midi_file import parse_midi, read_midi

    if isinstance(request.midi, bytes):
        midi = parse_midi(request.midi, name=request.input_name)
    else:
        midi = read_midi(request.midi)
    for warning in midi.warnings:
        warn(f"{request.input_name}: {warning}")
    return midi


def _measure(
    blocks: Iterator[Block],
    meter: LevelMeter,
    spill: IO[bytes],
    music_seconds: float,
    on_progress: ProgressCallback,
) -> int:
    """Hear all blocks, keep them in `spill`, and return the number of frames."""
    num_frames = 0
    for block in blocks:
        meter.add(block)
        spill.write(block.tobytes())
        num_frames += len(block)
        done = min(num_frames / meter.sample_rate, music_seconds)
        on_progress(Progress(done=done, total=music_seconds, unit="seconds"))
    return num_frames


def _encode(
    request: RenderRequest, encoding: Encoding, spill: IO[bytes], gains: Master
) -> tuple[bytes | None, float]:
    """The file's bytes when there is no output, and the highest sample before encoding."""
    from perceiver_music.audio.encoding import write_audio

    levelled = _Levelled(spill, gains)
    if request.output is not None:
        with write_atomically(request.output, overwrite=request.overwrite) as path:
            write_audio(path, levelled, encoding)
        return None, levelled.peak
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sound.{encoding.audio_format.name}"
        write_audio(path, levelled, encoding)
        return read_bytes(path), levelled.peak


class _Levelled:
    """The spilled sound at its level, block by block; knows its peak when it is over."""

    def __init__(self, spill: IO[bytes], gains: Master) -> None:
        self._spill, self._gains = spill, gains
        self.peak = 0.0

    def __iter__(self) -> Iterator[Block]:
        import numpy as np

        self._spill.seek(0)
        block_bytes = _BLOCK_SECONDS * self._gains.sample_rate * _BYTES_PER_FRAME
        first_frame = 0
        while data := self._spill.read(block_bytes):
            block = np.frombuffer(data, dtype=np.float32).reshape(-1, 2)
            block = self._gains.apply(block, first_frame)
            first_frame += len(block)
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block


def _loudness_after(meter: LevelMeter, gains: Master) -> float | None:
    """The loudness of what was written, exact where no limiter was at work."""
    if meter.peak == 0:
        return None
    import numpy as np

    from perceiver_music.audio.mastering import decibels

    return meter.loudness() + decibels(float(np.median(gains.gains)))
