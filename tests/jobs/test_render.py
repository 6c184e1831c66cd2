"""`render` as a job: what is heard, how long, how loud, in which file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from perceiver_music.errors import (
    InvalidInputError,
    OutputExistsError,
    UnavailableError,
    UsageError,
)
from perceiver_music.jobs import render
from perceiver_music.jobs.render import RenderRequest, RenderResult
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance

SECOND = 1_000_000


def music(*rows: tuple[float, float, int], pedal: tuple[tuple[float, int], ...] = ()) -> bytes:
    table = [(round(s * SECOND), round(e * SECOND), pitch, 80) for s, e, pitch in rows]
    moves = [(round(t * SECOND), value) for t, value in pedal]
    performance = Performance(
        notes=np.array(table, dtype=NOTE_DTYPE), pedal=np.array(moves, dtype=PEDAL_DTYPE)
    )
    return performance_to_midi(performance)


def played(midi: bytes, path: Path, **fields: object) -> tuple[RenderResult, np.ndarray]:
    result = render.run(RenderRequest(midi=midi, input_name="x.mid", output=path, **fields))
    samples, rate = soundfile.read(path)
    assert rate == result.sample_rate
    return result, samples


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_every_format_holds_the_whole_music(tmp_path: Path, suffix: str, rate: int) -> None:
    path = tmp_path / f"x.{suffix}"
    result, samples = played(music((0, 1, 60), (1, 2, 64)), path, sample_rate=rate)
    assert samples.shape[1] == 2
    assert result.music_seconds == pytest.approx(2.0)
    assert 2.0 < result.seconds < 13.0
    assert len(samples) / rate == pytest.approx(result.seconds, abs=0.1)
    assert 0.1 < np.abs(samples).max() < 1.0
    assert result.peak_dbfs is not None
    assert result.peak_dbfs <= -0.99
    assert result.loudness_lufs is not None
    assert -30 < result.loudness_lufs < -14


@pytest.mark.parametrize("depth", ["16", "24", "float"])
def test_bit_depths(tmp_path: Path, depth: str) -> None:
    path = tmp_path / "x.wav"
    played(music((0, 1, 60)), path, bit_depth=depth)
    assert soundfile.info(path).subtype == {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}[depth]


@pytest.mark.parametrize(("pitch", "hertz"), [(57, 220.0), (69, 440.0), (81, 880.0)])
def test_the_pitch_is_right(tmp_path: Path, pitch: int, hertz: float) -> None:
    result, samples = played(music((0, 2, pitch)), tmp_path / "x.wav", reverb=False)
    part = samples[result.sample_rate // 4 : result.sample_rate].sum(axis=1)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    frequency = np.fft.rfftfreq(len(part), 1 / result.sample_rate)
    near = (frequency > hertz * 0.97) & (frequency < hertz * 1.03)
    between = (frequency > hertz * 1.1) & (frequency < hertz * 1.9)
    assert spectrum[near].max() > 20 * spectrum[between].max()


def test_the_pedal_is_heard(tmp_path: Path) -> None:
    rows = ((0, 0.3, 60), (3, 3.1, 72))
    dry = played(music(*rows), tmp_path / "dry.wav", reverb=False, gain_db=0.0)[1]
    held = music(*rows, pedal=((0.0, 127), (2.9, 0)))
    wet = played(held, tmp_path / "wet.wav", reverb=False)[1]
    late = slice(int(1.5 * 44_100), int(2.5 * 44_100))
    assert np.abs(wet[late]).max() > 10 * np.abs(dry[late]).max()


def test_gain_makes_it_louder_and_never_clips(tmp_path: Path) -> None:
    midi = music((0, 1, 60), (1, 2, 64))
    usual = played(midi, tmp_path / "a.wav")[1]
    louder_result, louder = played(midi, tmp_path / "b.wav", gain_db=20.0)
    assert (louder**2).mean() > 4 * (usual**2).mean()
    assert np.abs(louder).max() < 1.0
    assert louder_result.peak_dbfs is not None
    assert louder_result.peak_dbfs <= -0.99


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    midi = music((0, 1, 60), (0.5, 2, 64))
    for name in ("a.wav", "b.wav"):
        played(midi, tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_without_an_output_the_bytes_are_given(tmp_path: Path) -> None:
    midi = music((0, 1, 60))
    result = render.run(RenderRequest(midi=midi, input_name="-", audio_format="flac"))
    assert result.output is None
    assert result.audio is not None
    assert result.audio[:4] == b"fLaC"


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        played(music((0, 1, 60)), path)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "fields",
    [
        {"output": Path("x.aiff")},
        {"output": Path("x")},
        {"output": Path("x.mp3"), "bit_depth": "24"},
        {"output": Path("x.wav"), "sample_rate": 12_345},
        {"output": Path("x.wav"), "synthesizer": "moog"},
        {"output": Path("x.wav"), "gain_db": float("nan")},
        {"output": Path("x.wav"), "gain_db": 1e9},
    ],
)
def test_what_cannot_be_made_is_a_usage_error(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        render.run(RenderRequest(midi=music((0, 1, 60)), input_name="x", **fields))


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        played(b"not MIDI", tmp_path / "x.wav")
    with pytest.raises(InvalidInputError, match="no note"):
        played(music(), tmp_path / "x.wav")
    assert not list(tmp_path.iterdir())


def test_more_than_six_hours_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    # One note whose release lies days away: a delta time of the longest kind.
    track = b"\x00\x90\x3c\x50\xff\xff\xff\x7f\x80\x3c\x00\x00\xff\x2f\x00"
    header = b"MThd\0\0\0\6\0\0\0\1\3\xe8MTrk" + len(track).to_bytes(4, "big")
    with pytest.raises(InvalidInputError, match="six hours"):
        played(header + track, tmp_path / "x.wav")


def test_no_synthesizer_is_said_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceiver_music.audio.fluidsynth_library.library_path", lambda _: None)
    with pytest.raises(UnavailableError) as caught:
        render.run(RenderRequest(midi=music((0, 1, 60)), input_name="x"))
    assert "pip install" in (caught.value.hint or "")


def test_no_library_writes_to_stdout(tmp_path: Path) -> None:
    path = tmp_path / "x.mid"
    path.write_bytes(music((0, 1, 60)))
    program = (
        "import sys; from pathlib import Path; from perceiver_music.jobs import render;"
        "render.run(render.RenderRequest(midi=Path(sys.argv[1]), input_name='x',"
        " output=Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path / "x.wav")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
