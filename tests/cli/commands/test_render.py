"""`render`, and `--render`, from outside."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


def test_with_no_other_word(run: Run, write_midi: WriteMidi) -> None:
    write_midi("elsewhere/x.mid", num_notes=4)
    outcome = run("render", "elsewhere/x.mid").succeeded()
    assert outcome.lines == ["x.wav"]
    audio, rate = soundfile.read("x.wav")
    assert rate == 44_100
    assert abs(audio).max() > 0.01
    assert "played by" in outcome.stderr


def test_its_object(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid", num_notes=4)
    words = ("--sample-rate", "48000", "-o", "new/", "--format", "flac", "--json")
    fields = run("render", "x.mid", *words).succeeded().object
    assert fields["schema"] == "render/1"
    assert (fields["input"], fields["output"]) == ("x.mid", "new/x.flac")
    assert fields["sample_rate"] == soundfile.info("new/x.flac").samplerate == 48_000
    assert fields["seconds"] == pytest.approx(soundfile.info("new/x.flac").duration, abs=1e-3)
    for name in ("synthesizer", "soundfont"):
        assert fields[name]
    assert fields["peak_dbfs"] <= 0


def test_through_pipes(run: Run, small_midi: Callable[..., bytes]) -> None:
    outcome = run("render", "-", "-o", "-", stdin=small_midi(num_notes=3)).succeeded()
    audio, _ = soundfile.read(io.BytesIO(outcome.stdout))
    assert abs(audio).max() > 0.01
    run("render", "-", "-o", "-", stdin=small_midi(), stdout_is_terminal=True).failed(2)


def test_a_batch_with_a_bad_file(run: Run, write_midi: WriteMidi) -> None:
    write_midi("f/a.mid", num_notes=3)
    Path("f/bad.mid").write_bytes(b"junk")
    outcome = run("render", "f", "-o", "{stem}.ogg").failed(3)
    assert outcome.lines == ["a.ogg"]
    run("render", "f/bad.mid").failed(65)
    run("render", "gone.mid").failed(74)


def test_nothing_is_overwritten_without_force(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid", num_notes=3)
    Path("x.wav").write_bytes(b"mine")
    run("render", "x.mid").failed(73)
    assert run("render", "x.mid", "--skip-existing", "--json").succeeded().object["skipped"]
    assert Path("x.wav").read_bytes() == b"mine"
    run("render", "x.mid", "--force").succeeded()
    assert Path("x.wav").read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "aiff"),
        ("-o", "x.aiff"),
        ("--sample-rate", "fast"),
        ("--gain", "loud"),
        ("--bit-depth", "7"),
        ("--synth", "kazoo"),
        ("-o", "{seed}.wav"),
    ],
    ids=" ".join,
)
def test_wrong_words(run: Run, write_midi: WriteMidi, words: tuple[str, ...]) -> None:
    write_midi("x.mid", num_notes=3)
    run("render", "x.mid", *words).failed(2)
    assert [path.name for path in Path().iterdir()] == ["x.mid"]


def test_compose_and_its_sound(run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(checkpoint))
    arguments = ("compose", "--length", "20", "--seed", "4", "--render", "--device", "cpu")
    assert run(*arguments).succeeded().lines == ["composed_4.mid", "composed_4.wav"]
    Path("composed_4.wav").unlink()
    run(*arguments).failed(73)
    fields = run(*arguments, "--skip-existing", "--json").succeeded().object
    assert fields["outputs"] == ["composed_4.mid", "composed_4.wav"]
    assert soundfile.info(fields["audio"]["output"]).frames > 0
    assert "audio" not in run(*arguments, "--skip-existing", "--json").succeeded().object


def test_format_and_name_must_not_contradict_each_other(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid", num_notes=3)
    outcome = run("render", "x.mid", "--format", "ogg", "-o", "x.wav").failed(2)
    assert outcome.error_lines == [
        "error: --format ogg and -o x.wav contradict each other",
        "hint: Leave out --format, or end the name in .ogg.",
    ]
    run("render", "x.mid", "--format", "ogg", "-o", "x.oga").succeeded()
    run("render", "x.mid", "--format", "wav", "-o", "x.WAV").succeeded()
    assert sorted(path.name for path in Path().iterdir()) == ["x.WAV", "x.mid", "x.oga"]


@pytest.mark.parametrize("rate", ["7", "-1", "22050", "192000"])
def test_a_sample_rate_that_there_is_not(run: Run, write_midi: WriteMidi, rate: str) -> None:
    write_midi("x.mid", num_notes=3)
    outcome = run("render", "x.mid", "--sample-rate", rate).failed(2)
    assert outcome.error_lines == [
        f"error: a .wav file is not made with {rate} samples a second",
        "hint: Give --sample-rate one of 32000, 44100, 48000, 88200 and 96000.",
    ]
    words = ("render", "x.mid", "-o", "x.mp3", "--sample-rate", "96000")
    assert "32000, 44100 and 48000. Other formats go higher." in run(*words).failed(2).stderr
    assert all(rate in run("render", "--help").stdout.decode() for rate in ("32000", "96000"))


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--sample-rate", "7"), 2, "a .wav file is not made with 7 samples a second"),
        (("--bit-depth", "24", "--format", "mp3"), 2, "a .mp3 file cannot have bit depth 24"),
        (("--gain", "999"), 2, "a gain of 999 dB is out of range"),
        (("--synth", "kazoo"), 2, "there is no synthesizer named 'kazoo'"),
        (("--soundfont", "gone.sf2"), 74, "gone.sf2: no such file or directory"),
        (("-o", "{stem}"), 2, "a: the output has no audio suffix"),
    ],
)
def test_options_that_suit_no_file_are_told_once(
    run: Run, write_midi: WriteMidi, words: tuple[str, ...], code: int, error: str
) -> None:
    for name in ("a.mid", "b.mid"):
        write_midi(name, num_notes=3)
    outcome = run("render", "a.mid", "b.mid", "gone.mid", *words).failed(code)
    assert outcome.error_lines[0] == f"error: {error}"
    assert len(outcome.error_lines) == 2


def test_options_are_not_asked_about_where_nothing_is_made(run: Run, write_midi: WriteMidi) -> None:
    for name in ("a", "b"):
        write_midi(f"{name}.mid", num_notes=3)
        Path(f"{name}.wav").write_bytes(b"mine")
    words = ("a.mid", "b.mid", "--skip-existing", "--soundfont", "gone.sf2")
    assert run("render", *words).succeeded().lines == []


def test_interrupted_it_says_what_is_written(
    run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.jobs import render as job

    names = [write_midi(f"{name}.mid", num_notes=3).name for name in "abc"]
    render = job.run

    def interrupted(request: job.RenderRequest, *rest: Any) -> job.RenderResult:
        if request.input_name == "c.mid":
            raise KeyboardInterrupt
        return render(request, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(job, "run", interrupted)
        outcome = run("render", *names).failed(130)
        assert outcome.error_lines[-2:] == [
            "error: interrupted; 2 of 3 files are there",
            "hint: For the rest run it again with --skip-existing.",
        ]
        assert "start over" in run("render", "c.mid").failed(130).error_lines[-1]
    assert run("render", *names, "--skip-existing").succeeded().lines == ["c.wav"]


def test_who_plays_is_said_once(run: Run, write_midi: WriteMidi) -> None:
    names = [write_midi(f"{name}.mid", num_notes=3).name for name in "ab"]
    assert run("render", *names).succeeded().stderr.count("played by") == 1
