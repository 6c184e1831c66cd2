"""`duet`, and `--stream` and `--port` of the others, with a model of random weights."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import mido
import pytest

from perceiver_music.cli.commands.duet import _ended_by
from tests.live.memory_backend import LOG_VARIABLE, NAME, plugged_in

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]
CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _tiny(checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The in-process ports of `tests/live`."""
    monkeypatch.setenv("MIDO_BACKEND", NAME)
    return plugged_in()


def test_ports_are_listed(run: Run, backend: ModuleType) -> None:
    lines = run("duet", "--list-ports").succeeded().lines
    assert [line.split(maxsplit=1) for line in lines[1:]] == [
        *(["in", name] for name in backend.INPUTS),
        *(["out", name] for name in backend.OUTPUTS),
    ]
    fields = run("duet", "--list-ports", "--json").succeeded().object
    assert (fields["schema"], fields["outputs"]) == ("duet/1", backend.OUTPUTS)
    backend.INPUTS.clear()
    backend.OUTPUTS.clear()
    outcome = run("duet", "--list-ports").succeeded()
    assert outcome.lines == []
    assert "--midi-file" in outcome.stderr


def test_a_file_in_the_place_of_a_keyboard(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid", num_notes=6)
    words = ("duet", "--midi-file", "p.mid", "--length", "1s", "--seed", "4")
    outcome = run(*words, "-o", "a.mid").succeeded()
    assert outcome.lines == ["a.mid"]
    assert "seed: 4" in outcome.error_lines
    assert "not be kept" not in outcome.stderr
    assert "not be kept" in run(*words).succeeded().stderr
    fields = run(*words, "-o", "b.mid", "--json").succeeded().object
    assert (fields["notes"], fields["outputs"], fields["seed"]) == (6, ["b.mid"], 4)
    assert fields["answers"] >= 1
    assert fields["answered_notes"] >= 1
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()
    channels = {m.channel for m in mido.MidiFile("a.mid") if m.type == "note_on"}
    assert channels == {0, 1}
    run(*words, "-o", "a.mid").failed(73)
    shown = run("view", "a.mid", "--json").succeeded().object
    assert (shown["new_notes"], shown["new_seconds"]) == (fields["answered_notes"], None)
    outcome = run("replay", "a.mid", "-o", "c.mid").failed(65)
    assert "is a duet" in outcome.stderr


def test_a_duet_of_streams(run: Run, write_midi: WriteMidi) -> None:
    given = write_midi("p.mid", num_notes=6).read_bytes()
    words = ("--length", "1s", "--seed", "4")
    run("duet", "--midi-file", "p.mid", *words, "-o", "a.mid").succeeded()
    piped = run("duet", "--midi-file", "-", *words, "-o", "-", stdin=given).succeeded()
    assert piped.stdout == Path("a.mid").read_bytes()
    assert "not be kept" not in piped.stderr
    assert sorted(map(str, Path().iterdir())) == ["a.mid", "p.mid"]
    fields = run("duet", "--midi-file", "-", *words, "--json", stdin=given).succeeded().object
    assert (fields["input"], fields["inputs"], fields["notes"]) == ("-", ["-"], 6)
    assert "-: " in run("duet", "--midi-file", "-", stdin=b"<html>").failed(65).stderr
    run("duet", "--midi-file", "-", stdin_is_terminal=True).failed(2)
    run("duet", "--midi-file", "p.mid", "-o", "-", stdout_is_terminal=True).failed(2)
    run("duet", "--midi-file", "p.mid", "-o", "-", "--json").failed(2)


def test_the_pedals_of_the_player_are_in_the_file(run: Run, write_midi: WriteMidi) -> None:
    path = write_midi("p.mid", num_notes=6)
    file = mido.MidiFile(path)
    for value in (127, 0):
        file.tracks[0].insert(
            len(file.tracks[0]) - 3, mido.Message("control_change", control=67, value=value)
        )
    file.save(path)
    words = ("--length", "1s", "--seed", "4", "-o", "a.mid")
    outcome = run("duet", "--midi-file", "p.mid", *words).succeeded()
    assert any("pause for an answer" in line for line in outcome.error_lines)
    soft = [(m.channel, m.value) for m in mido.MidiFile("a.mid") if m.is_cc(67)]
    assert soft == [(0, 127), (0, 0)]
    cued = ("--cue", "soft", "--pause", "0", "--force", "--json")
    outcome = run("duet", "--midi-file", "p.mid", *words, *cued).succeeded()
    assert any("give the cue (soft) for an answer" in line for line in outcome.error_lines)
    assert not [m for m in mido.MidiFile("a.mid") if m.is_cc(67)]


def test_wrong_words_of_a_duet(run: Run, write_midi: WriteMidi, backend: ModuleType) -> None:
    write_midi("p.mid")
    run("duet", "--midi-file", "p.mid", "--in", "grand").failed(2)
    run("duet", "--midi-file", "p.mid", "--length", "16bars").failed(2)
    run("duet", "--midi-file", "p.mid", "--pause", "0").failed(2)
    run("duet", "--midi-file", "p.mid", "--cue", "elbow").failed(2)
    run("duet", "--midi-file", "gone.mid").failed(74)
    outcome = run("duet", "--midi-file", "p.mid", "-o", "p.mid").failed(73)
    assert "--force" in outcome.error_lines[-1]
    run("duet", "--in", "organ").failed(69)
    Path("bad.mid").write_bytes(b"<html>")
    run("duet", "--midi-file", "bad.mid").failed(65)
    backend.INPUTS.clear()
    run("duet").failed(69)


@pytest.mark.parametrize(
    ("word", "kind", "number"),
    [("soft", "control", 67), ("A0", "key", 21), ("c#4", "key", 61), ("60", "key", 60)],
)
def test_names_of_cues(word: str, kind: str, number: int) -> None:
    from perceiver_music.jobs.duet import read_cue

    assert (read_cue(word).kind, read_cue(word).number) == (kind, number)


def test_a_stream_of_lines_and_the_same_file(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    words = ("continue", "p.mid", "--length", "40", "--seed", "7")
    run(*words, "-o", "plain.mid").succeeded()
    outcome = run(*words, "-o", "streamed.mid", "--stream").succeeded()
    *events, result = outcome.objects
    assert {event["schema"] for event in events} == {"event/1"}
    assert (result["schema"], result["outputs"], result["events"]) == (
        "continue/1",
        ["streamed.mid"],
        40,
    )
    assert sum(event["drawn"] for event in events) == 40
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert Path("plain.mid").read_bytes() == Path("streamed.mid").read_bytes()
    new = run(*words, "--no-primer", "-o", "new.mid", "--json").succeeded().object
    onsets = [event["value"] for event in events if event["name"] == "NOTE_ON"]
    assert new["notes"] == len(onsets)
    keys = set()
    for event in events:
        if event["name"] == "NOTE_ON":
            keys.add(event["value"])
        elif event["name"] == "NOTE_OFF":
            keys.discard(event["value"])
    assert keys == set()


def test_lines_come_before_the_music_is_made(
    run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.cli.console import Console

    lengths: list[int] = []
    write = Console.binary
    monkeypatch.setattr(
        Console,
        "binary",
        lambda self, data: (lengths.append(Path("s.mid").exists()), write(self, data))[1],
    )
    run("compose", "--length", "20", "--stream", "-o", "s.mid").succeeded()
    assert lengths[-1]
    assert not any(lengths[:-1])
    assert len(lengths) > 20


def test_lines_and_the_file_itself_cannot_share_stdout(run: Run) -> None:
    run("compose", "--length", "9", "--stream", "-o", "-").failed(2)


def test_a_reader_that_goes_away(start, home: Path) -> None:
    with start("compose", "--length", "100000", "--stream", "-o", "s.mid") as process:
        assert json.loads(process.stdout.readline())["schema"] == "event/1"
        process.stdout.close()
        assert process.wait(60) == 141
    assert list(Path().iterdir()) == []


def test_a_port_plays_what_the_file_holds(
    run: Run, backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.live import port_stream
    from perceiver_music.live.clock import FreeClock

    monkeypatch.setattr(port_stream, "SystemClock", FreeClock)
    words = ("compose", "--length", "60", "--seed", "3")
    outcome = run(*words, "--port", "two", "-o", "s.mid").succeeded()
    assert outcome.lines == ["s.mid"]
    played = [m.note for m in backend.sent if m.type == "note_on"]
    assert sorted(played) == sorted(
        m.note for m in mido.MidiFile("s.mid") if m.type == "note_on" and m.velocity
    )
    assert backend.sounding(backend.sent) == (set(), {})
    run(*words, "-o", "plain.mid").succeeded()
    assert Path("plain.mid").read_bytes() == Path("s.mid").read_bytes()
    for port, code in (("synth", 2), ("organ", 69)):  # known before there is a model
        assert "device" not in run(*words, "--port", port, "-o", "t.mid").failed(code).stderr
    backend.state["fails_after"] = len(backend.sent) + 5
    run(*words, "--port", "two", "-o", "t.mid").failed(69)
    assert threading.active_count() == 1
    assert backend.state["is_open"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["compose", "duet"])
def test_a_signal_leaves_nothing_sounding(
    start, write_midi: WriteMidi, backend: ModuleType, command: str, number: int, code: int
) -> None:
    """In a fresh process, interrupted as soon as the first note of the machine has sounded."""
    words = ["compose", "--length", "100000", "--port", "one"]
    if command == "duet":
        write_midi("p.mid", num_notes=1)
        words = ["duet", "--midi-file", "p.mid", "--out", "one", "-o", "kept.mid"]
    log = Path("sent.txt")
    environment = {"MIDO_BACKEND": NAME, LOG_VARIABLE: str(log), "PYTHONPATH": str(CHECKOUT)}
    with start(
        *words,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        while not (log.exists() and "note_on channel=0" in log.read_text()):
            assert process.poll() is None, process.stderr.read()
            threading.Event().wait(0.01)
        process.send_signal(number)
        assert process.wait(60) == code
        written, told = process.stdout.read(), process.stderr.read().decode()
    sent = [mido.Message.from_str(line) for line in log.read_text().splitlines()]
    assert backend.sounding(sent) == (set(), {})
    if command == "duet":
        channels = {m.channel for m in mido.MidiFile("kept.mid") if m.type == "note_on"}
        assert channels == {0, 1}
        assert written == b"kept.mid\n"
        assert "the conversation so far is in kept.mid" in told
        assert "start over" not in told
    else:
        assert not list(Path().glob("composed*"))


def test_a_duet_that_ends_before_it_begins_does_not_ask_for_what_was_given() -> None:
    hints = [
        _ended_by(KeyboardInterrupt(), saved, is_to_be_kept=is_to_be_kept).hint
        for saved, is_to_be_kept in (([Path("kept.mid")], True), ([], True), ([], False))
    ]
    assert "let go" in hints[0]
    assert "-o" not in hints[1]
    assert "-o" in hints[2]
