"""What `continue`, `compose` and `infill` say of mistakes, and of requests met otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import mido
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]
SHORT = ("--length", "24", "--seed", "1")


@pytest.fixture(autouse=True)
def _filling(filling_checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(filling_checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


def write_held(name: str) -> None:
    """A file whose only note never ends."""
    track = b"\x00\x90\x3c\x40\x60\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\0\0\0\1\0\x60"
    Path(name).write_bytes(header + b"MTrk" + len(track).to_bytes(4, "big") + track)


def test_a_window_beyond_the_end_is_answered_with_the_end(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid", num_notes=20)
    for words in (("--from", "100", "--to", "500"), ("--from", "50")):
        hint = run("continue", "p.mid", *words).failed(2).error_lines[1]
        assert hint.startswith("hint: It ends at ")
        assert hint.endswith(" s; give a --from before that, or leave it out.")


@pytest.mark.parametrize(
    "words",
    ["continue", "infill --between 0 1", "view", "render", "tokens", "duet --midi-file"],
)
def test_notes_that_all_have_no_length_are_the_reason(run: Run, words: str) -> None:
    file, track = mido.MidiFile(), mido.MidiTrack()
    for kind in ("note_on", "note_off") * 3:
        track.append(mido.Message(kind, note=60))
    file.tracks.append(track)
    file.save("instant.mid")
    name, *options = words.split()
    given = [*options, "instant.mid"] if name == "duet" else ["instant.mid", *options]
    outcome = run(name, *given, "-q").failed(65)
    reason = "instant.mid: has no piano notes; 3 notes have no length and are left out"
    assert outcome.error_lines[0] == f"error: {reason}"


@pytest.mark.parametrize("frames", [24, 25, 29, 30])
def test_a_file_in_frames_has_no_bars(run: Run, write_midi: WriteMidi, frames: int) -> None:
    path = write_midi("p.mid", num_notes=20)
    data = bytearray(path.read_bytes())
    data[12:14] = (256 - frames, 40)  # the division
    path.write_bytes(data)
    for words in (("--length", "2bars"), ("--length", "2bars", "--last", "1")):
        assert run("continue", "p.mid", *words).failed(2).error_lines == [
            "error: p.mid: its times are in frames (SMPTE), so it has no bars",
            "hint: Give --length in seconds, notes or events.",
        ]
    run("continue", "p.mid", *SHORT).succeeded()


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("continue p.mid --from 4 --to 1", 2, "--from 4 --to 1: no music lies between them"),
        ("continue p.mid --from 2 --to 2", 2, "--from 2 --to 2: no music"),
        ("continue p.mid --from 1 --last 1", 2, "--from 1 and --last 1 both say"),
        ("continue p.mid --from 50", 2, "p.mid: --from 50: no music of the primer is left"),
        ("continue p.mid --from 50 --to 60", 2, "p.mid: --from 50 --to 60: no music of"),
        ("continue p.mid --to 0", 2, "p.mid: --to 0: no music of the primer is left"),
        ("continue p.mid --last 0", 2, "p.mid: --last 0: no music of the primer is left"),
        ("continue p.mid --from 9:59:59", 2, "--from 35999 is not within six hours"),
        ("compose --temperature -1", 2, "--temperature -1 is not between 0 and 100"),
        ("compose --length 2bars", 2, "without a primer nobody can say how long a bar is"),
        ("infill p.mid --between 4 1", 2, "--between 4 1: no music lies between them"),
        ("infill p.mid --between 1 1.01", 2, "p.mid: --between 1 1.01: there is no room"),
        ("infill p.mid --between 50 60", 2, "p.mid: --between 50 60: the music has ended"),
        ("infill p.mid --between 1 300", 2, "p.mid: --between 1 300: more than 120 s"),
        ("continue gone.mid", 74, "gone.mid: no such file"),
        ("continue bad.mid", 65, "bad.mid: not a MIDI file"),
        ("continue silent.mid", 65, "silent.mid: has no piano notes"),
        ("continue held.mid", 65, "held.mid: has no piano notes; 1 note never ends"),
        ("continue p.mid -o p.mid/x.mid", 74, "p.mid/x.mid"),
        ("continue p.mid -o there.mid", 73, "there.mid: exists already"),
    ],
)
def test_a_mistake_that_needs_no_model_to_be_found_is_all_that_is_told(
    run: Run, write_midi: WriteMidi, words: str, code: int, error: str
) -> None:
    write_midi("p.mid", num_notes=20)
    write_midi("silent.mid", num_notes=0)
    write_held("held.mid")
    for name in ("bad.mid", "there.mid"):
        Path(name).write_bytes(b"junk")
    outcome = run(*words.split()).failed(code)
    first, second = outcome.error_lines
    assert first.startswith(f"error: {error}")
    assert second.startswith("hint: ")
    failure = run(*words.split(), "--json").failed(code).object["error"]
    assert failure["code"] == code


def test_in_a_batch_each_mistake_is_told_in_its_turn(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid", num_notes=4)
    write_midi("b.mid", num_notes=20)
    outcome = run("continue", "a.mid", "b.mid", *SHORT, "--from", "2.5").failed(3)
    assert outcome.error_lines[:2] == ["device: cpu", "seed: 1"]
    assert outcome.error_lines[-3].startswith("error: a.mid: --from 2.5: no music")
    assert outcome.lines == ["b_continued_1.mid"]
    outcome = run("continue", "a.mid", "gone.mid", *SHORT, "--from", "2.5").failed(3)
    assert "device" not in outcome.stderr


def test_more_of_a_primer_than_there_is_is_told_once(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid", num_notes=20)

    def warnings(*words: str) -> list[str]:
        outcome = run("continue", "p.mid", *SHORT, *words, "-o", "o.mid", "--force").succeeded()
        return [line for line in outcome.error_lines if line.startswith("warning: ")]

    assert warnings("--last", "1s") == []
    [told] = warnings("--last", "500s", "-n", "3")
    assert told.startswith("warning: p.mid: is ")
    assert told.endswith(" s long, less than the 500 s of --last; all of it is used")
    [told] = warnings("--last", "500s", "--to", "3")
    assert "is 3.0 s long up to --to" in told
    [told] = warnings("--to", "500s", "-n", "2")
    assert "before the 500 s of --to" in told


def test_drums_are_told_of(run: Run, write_midi: WriteMidi) -> None:
    path = write_midi("p.mid", num_notes=20)
    file = mido.MidiFile(path)
    file.tracks[0].insert(0, mido.Message("note_on", channel=9, note=36, velocity=64))
    file.tracks[0].append(mido.Message("note_off", channel=9, note=36))
    file.save(path)
    for words in (("continue", "p.mid", *SHORT), ("infill", "p.mid", "--between", "1", "3")):
        outcome = run(*words, "-o", f"{words[0]}.mid").succeeded()
        assert "warning: p.mid: drums (channel 10) are no part of the piano" in outcome.error_lines


@pytest.mark.parametrize(
    ("length", "is_short"),
    [
        ("1s", True),
        ("9s", True),
        ("10s", False),
        ("60", True),
        ("400", False),
        ("99notes", True),
        ("100notes", False),
    ],
)
def test_a_length_that_is_short_for_an_ending_is_told(
    run: Run, length: str, is_short: bool
) -> None:
    words = ("compose", "--length", length, "--seed", "1", "-o", "o.mid")
    told = [line for line in run(*words, "--ending").error_lines if "prepare an ending" in line]
    assert len(told) == is_short
    assert "prepare an ending" not in run(*words, "--force").stderr


def test_an_end_that_was_not_found_is_told(run: Run) -> None:
    words = ("compose", "--length", "1notes", "--seed", "1", "-n", "2", "-o", "o.mid", "--json")
    outcome = run(*words, "--ending").succeeded()
    assert [fields["ended"] for fields in outcome.objects] == ["length", "length"]
    told = [line for line in outcome.error_lines if "no ending was found" in line]
    assert [line.split(": ")[1] for line in told] == ["o_1.mid", "o_2.mid"]
    assert "ending" not in run(*words, "--force").succeeded().stderr


def test_the_times_of_pieces_made_together_add_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.generation import continuation

    together = continuation.continue_together

    def slowly(*arguments: object, **options: object) -> object:
        now[0] += 40.0
        return together(*arguments, **options)  # type: ignore[arg-type]

    now = [0.0]
    monkeypatch.setattr(continuation, "continue_together", slowly)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    found = run("compose", *SHORT, "-n", "4", "-o", "o.mid", "--json").succeeded().objects
    assert [fields["elapsed_seconds"] for fields in found] == [10.0] * 4
    assert [fields["events_per_second"] for fields in found] == [2.4] * 4
