"""Turn MIDI into sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
