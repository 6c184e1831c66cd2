"""`continue` and `compose`, from outside, with a model of random weights."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

WriteMidi = Callable[..., Path]
SHORT = ("--length", "24")
CONTEXT = 128  # of the checkpoint


@pytest.fixture(autouse=True)
def _tiny(checkpoint: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("PERCEIVER_MUSIC_DEVICE", "cpu")


def _seed_of(outcome: Outcome) -> int:
    [line] = [line for line in outcome.error_lines if line.startswith("seed: ")]
    return int(line.removeprefix("seed: "))


def test_with_no_other_word(run: Run, write_midi: WriteMidi) -> None:
    write_midi("elsewhere/primer.mid", num_notes=4)
    outcome = run("continue", "elsewhere/primer.mid", *SHORT).succeeded()
    name = f"primer_continued_{_seed_of(outcome)}.mid"
    assert outcome.lines == [name]
    assert mido.MidiFile(name).length > 0
    assert "device: cpu" in outcome.error_lines


def test_compose_with_no_other_word(run: Run) -> None:
    outcome = run("compose", *SHORT).succeeded()
    assert outcome.lines == [f"composed_{_seed_of(outcome)}.mid"]


def test_a_minute_is_the_default() -> None:
    from perceiver_music.cli.generation_options import DEFAULT_LENGTH

    assert str(DEFAULT_LENGTH) == "60s"


def test_its_object(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    fields = run("continue", "p.mid", *SHORT, "--seed", "7", "-o", "o.mid", "--json").object
    assert fields["schema"] == "continue/1"
    assert fields["inputs"] == ["p.mid"]
    assert fields["outputs"] == ["o.mid"]
    assert (fields["primer"], fields["output"], fields["seed"]) == ("p.mid", "o.mid", 7)
    assert (fields["events"], fields["ended"], fields["checkpoint"]) == (24, "length", "tiny")
    assert len(fields["checkpoint_sha256"]) == 64
    assert fields["sampling"]["temperature"] == 1.0
    for name in ("index", "primer_events", "notes", "seconds", "version", "elapsed_seconds"):
        assert name in fields


def test_a_quantized_file_is_gone_on_from_on_its_grid(run: Run) -> None:
    track = mido.MidiTrack()
    for i in range(32):
        track.append(mido.Message("note_on", note=50 + i % 12, velocity=80))
        track.append(mido.Message("note_off", note=50 + i % 12, time=240))
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save("score.mid")
    words = ("continue", "score.mid", *SHORT, "--seed", "7")
    outcome = run(*words, "-o", "a.mid", "--json").succeeded()
    assert outcome.object["grid_lines_per_quarter"] == 2
    assert "score.mid: quantized; new notes begin on its grid" in outcome.error_lines
    freely = run(*words, "-o", "b.mid", "--no-grid", "--json").succeeded()
    assert freely.object["grid_lines_per_quarter"] is None
    assert not freely.object["sampling"]["keep_grid"]
    assert "quantized" not in freely.stderr
    made = {}
    for name in ("a.mid", "b.mid"):
        made[name] = {m.velocity for m in mido.MidiFile(name) if m.type == "note_on"} - {0}
    assert made["a.mid"] == {80}
    assert len(made["b.mid"]) > 1
    assert run("replay", "a.mid", "--check").code == 0


def test_compose_has_its_own_schema(run: Run) -> None:
    fields = run("compose", *SHORT, "-o", "o.mid", "--json").object
    assert (fields["schema"], fields["primer"], fields["inputs"]) == ("compose/1", None, [])


def test_a_variation_depends_on_itself_alone(run: Run, write_midi: WriteMidi) -> None:
    for name in ("a", "b"):
        write_midi(f"{name}.mid", seed=ord(name))
    run("continue", "a.mid", "b.mid", *SHORT, "-n", "2", "--seed", "5", "-o", "x/").succeeded()
    run("continue", "b.mid", *SHORT, "-n", "3", "--seed", "5", "-o", "y/").succeeded()
    for index in (1, 2):
        name = f"b_continued_5_{index}.mid"
        assert Path("x", name).read_bytes() == Path("y", name).read_bytes()
    assert Path("x/b_continued_5_1.mid").read_bytes() != Path("x/b_continued_5_2.mid").read_bytes()


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("o.mid", ["o_1.mid", "o_2.mid"]),
        ("new/deep/", ["new/deep/p_continued_5_1.mid", "new/deep/p_continued_5_2.mid"]),
        ("{stem}-{index}-{seed}.mid", ["p-1-5.mid", "p-2-5.mid"]),
        ("{checkpoint}/{index:02d}.midi", ["tiny/01.midi", "tiny/02.midi"]),
    ],
)
def test_names(run: Run, write_midi: WriteMidi, output: str, names: list[str]) -> None:
    write_midi("p.mid")
    outcome = run("continue", "p.mid", *SHORT, "-n", "2", "--seed", "5", "-o", output)
    assert outcome.succeeded().lines == names
    assert all(Path(name).is_file() for name in names)


def test_nothing_is_overwritten_without_force(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    Path("o.mid").write_bytes(b"mine")
    arguments = ("continue", "p.mid", *SHORT, "-o", "o.mid")
    outcome = run(*arguments, "--json").failed(73)
    assert outcome.object["error"]["path"] == "o.mid"
    skipped = run(*arguments, "--skip-existing", "--json").succeeded().object
    assert (skipped["skipped"], skipped["output"]) == (True, "o.mid")
    assert skipped["seed"] is not None
    assert len(skipped["checkpoint_sha256"]) == 64
    assert Path("o.mid").read_bytes() == b"mine"
    run(*arguments, "--force").succeeded()
    assert Path("o.mid").read_bytes().startswith(b"MThd")
    assert sorted(path.name for path in Path().iterdir()) == ["o.mid", "p.mid"]


def test_a_bad_file_stops_no_other(run: Run, write_midi: WriteMidi) -> None:
    write_midi("f/a.mid")
    Path("f/bad.mid").write_bytes(b"<html>")
    write_midi("f/c.mid", seed=1)
    outcome = run("continue", "f", "gone.mid", *SHORT, "-o", "o/", "--seed", "1", "--json")
    codes = [item.get("error", {}).get("code") for item in outcome.failed(3).objects]
    assert codes == [None, 65, None, 74]
    assert outcome.objects[1]["inputs"] == ["f/bad.mid"]
    assert outcome.objects[1]["seed"] == 1
    assert outcome.objects[1]["checkpoint"] == outcome.objects[0]["checkpoint"]
    assert outcome.objects[1]["checkpoint_sha256"] == outcome.objects[0]["checkpoint_sha256"]
    assert outcome.error_lines[-1] == "error: 2 done, 2 failed"
    assert len(list(Path("o").iterdir())) == 2


def test_one_input_fails_with_its_own_code(run: Run) -> None:
    Path("bad.mid").write_bytes(b"<html>")
    run("continue", "bad.mid", *SHORT).failed(65)
    run("continue", "gone.mid", *SHORT).failed(74)
    run("continue", "none*.mid", *SHORT).failed(74)


def test_a_file_through_pipes(run: Run, small_midi: Callable[..., bytes]) -> None:
    outcome = run("continue", "-", "-o", "-", *SHORT, "--seed", "3", stdin=small_midi()).succeeded()
    assert mido.MidiFile(file=io.BytesIO(outcome.stdout)).length > 0
    assert list(Path().iterdir()) == []
    named = run("continue", "-", *SHORT, "--seed", "3", stdin=small_midi()).succeeded()
    assert named.lines == ["stdin_continued_3.mid"]
    assert Path("stdin_continued_3.mid").read_bytes() == outcome.stdout


def test_terminals_are_refused(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    run("continue", "-", *SHORT, stdin_is_terminal=True).failed(2)
    run("continue", "p.mid", *SHORT, "-o", "-", stdout_is_terminal=True).failed(2)
    for more in (["--json"], ["--render"], ["-n", "2"]):
        run("continue", "p.mid", *SHORT, "-o", "-", *more).failed(2)


def test_a_list_on_stdin(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a b.mid")
    write_midi("c.mid")
    outcome = run("continue", "-", *SHORT, "--seed", "1", stdin=b"a b.mid\nc.mid\n")
    assert outcome.succeeded().lines == ["a b_continued_1.mid", "c_continued_1.mid"]


def test_two_items_of_one_name_are_refused(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x/p.mid")
    write_midi("y/p.mid")
    run("continue", "x/p.mid", "y/p.mid", *SHORT, "-o", "o/").failed(2)
    run("continue", "x/p.mid", "y/p.mid", *SHORT, "-o", "one.mid").failed(2)
    assert not Path("o").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--length", "0s"),
        ("--length", "soon"),
        ("--from", "later"),
        ("--from", "5", "--last", "1"),
        ("--from", "2", "--to", "1"),
        ("--temperature", "-1"),
        ("--top-p", "0"),
        ("--top-k", "0"),
        ("--min-p", "2"),
        ("--variations", "0"),
        ("--seed", "-1"),
        ("--context", "8", "--latents", "16"),
        ("-o", "song.wav"),
        ("-o", "{nope}.mid"),
        ("-o", ""),
        ("--device", "abacus"),
    ],
    ids=" ".join,
)
def test_wrong_words(run: Run, write_midi: WriteMidi, words: tuple[str, ...]) -> None:
    write_midi("p.mid")
    assert len(run("continue", "p.mid", *words).failed(2).stdout) == 0
    assert [path.name for path in Path().iterdir()] == ["p.mid"]


def test_bars_need_a_primer_that_says_how_long_they_are(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")  # a tempo and no meter
    run("continue", "p.mid", "--length", "2bars", "-o", "q.mid").succeeded()
    assert Path("q.mid").exists()
    run("compose", "--length", "2bars").failed(2)


def test_a_wrong_checkpoint_is_said_once(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    write_midi("b.mid")
    outcome = run("continue", "a.mid", "b.mid", *SHORT, "--checkpoint", "nope").failed(74)
    assert len(outcome.error_lines) == 2


def test_quiet_is_quiet(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    assert run("continue", "p.mid", *SHORT, "-q").succeeded().stderr == ""


def test_windows_of_the_primer(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid", num_notes=40)
    whole = run("continue", "p.mid", *SHORT, "-o", "1.mid", "--json").object["primer_events"]
    for words in (("--last", "2"), ("--to", "0:02"), ("--from", "1s", "--to", "3")):
        outcome = run("continue", "p.mid", *SHORT, *words, "-o", "2.mid", "--force", "--json")
        assert 0 < outcome.succeeded().object["primer_events"] < whole
    alone = run("continue", "p.mid", *SHORT, "--no-primer", "-o", "3.mid", "--json").succeeded()
    assert mido.MidiFile("3.mid").length < mido.MidiFile("1.mid").length
    assert json.dumps(alone.object)


def test_names_that_are_hard(run: Run, write_midi: WriteMidi) -> None:
    for name in ("-dash.mid", "new\nline.mid", "caf\udce9.mid", "{braces}.mid", "[1].mid"):
        path = write_midi(name)
        outcome = run("continue", "--seed", "1", *SHORT, "--", path).succeeded()
        written = outcome.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
        assert "\n" not in written
        assert Path(written).is_file()


def test_a_folder_where_nothing_can_be_written(run: Run, write_midi: WriteMidi) -> None:
    write_midi("p.mid")
    run("continue", "p.mid", *SHORT, "-o", "p.mid/x.mid").failed(74)
    run("continue", "p.mid", *SHORT, "-o", "x" * 300 + ".mid").failed(74)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_done(start, number: int, code: int) -> None:
    # A test runner may ignore SIGINT, and a child would inherit that.
    with start(
        *("compose", "--length", "1000000", "-n", "3"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        while not process.stderr.readline().startswith(b"seed: "):
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == code
        error, hint = process.stderr.read().splitlines()[-2:]
        assert error.startswith(b"error: ")
        assert hint.startswith(b"hint: ")
        assert process.stdout.read() == b""
    assert list(Path().iterdir()) == []


def test_a_command_over_a_folder_can_be_run_again(run: Run, write_midi: WriteMidi) -> None:
    for name in ("a", "b"):
        write_midi(f"{name}.mid", seed=ord(name), num_notes=4)
    command = ("continue", ".", *SHORT, "--seed", "4", "-o", "out/{stem}_{seed}.mid")
    made = run(*command, "--skip-existing").succeeded()
    assert made.lines == ["out/a_4.mid", "out/b_4.mid"]
    again = run(*command, "--skip-existing").succeeded()
    assert again.lines == []
    assert "left out, as outputs of this command: 2" in again.error_lines
    assert sorted(path.name for path in Path("out").iterdir()) == ["a_4.mid", "b_4.mid"]
    # Named outright, an output is an input that would be lost.
    outcome = run(*command, "out/a_4.mid", "--force").failed(2)
    assert any("overwritten before it is read" in line for line in outcome.error_lines)


def test_events_and_the_file_do_not_share_standard_output(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid", num_notes=4)
    outcome = run("continue", "a.mid", *SHORT, "--stream", "-o", "-").failed(2)
    assert "-o - and --stream" in outcome.error_lines[0]


def test_interrupted_it_keeps_what_is_finished(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from perceiver_music.generation import continuation

    words = ("compose", "--length", "1s", "-n", "3", "--seed", "5", "-o", "new/takes/")
    together = continuation.continue_together

    def interrupted(*arguments: Any, **options: Any) -> Any:
        for growth in together(*arguments, **options):
            yield growth
            if growth.music.ended:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(continuation, "continue_together", interrupted)
        outcome = run(*words).failed(130)
    [kept] = outcome.lines
    assert outcome.error_lines[-2:] == [
        "error: interrupted; 1 of 3 MIDI files are there",
        "hint: For the rest run it again with --seed 5 --skip-existing.",
    ]
    with monkeypatch.context() as patch:
        patch.setattr(continuation, "continue_together", interrupted)
        outcome = run(*words[:-1], "sounding/", "--render").failed(130)
    assert outcome.error_lines[-2] == (
        "error: interrupted; 1 of 3 MIDI files and 0 of 3 sound files are there"
    )
    data = Path(kept).read_bytes()
    rest = run(*words, "--skip-existing").succeeded().lines
    assert len(rest) == 2
    assert Path(kept).read_bytes() == data
    run(*words[:-1], "whole/").succeeded()
    for path in Path("whole").iterdir():
        assert Path("new/takes", path.name).read_bytes() == path.read_bytes()


def test_interrupted_before_anything_is_finished_it_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.generation import continuation

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(continuation, "continue_together", interrupted)
    outcome = run("compose", "-n", "3", "-o", "new/takes/").failed(130)
    assert outcome.error_lines[-2] == "error: interrupted"
    fields = run("compose", "-n", "3", "-o", "new/takes/", "--seed", "8", "--json").object
    assert (fields["seed"], fields["error"]["code"]) == (8, 130)
    assert list(Path().iterdir()) == []


def test_context_that_the_checkpoint_was_not_trained_for(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid")

    def warnings(context: int) -> list[str]:
        words = ("compose", *SHORT, "--seed", "1", "--force", "-o", "o.mid")
        lines = run(*words, "--context", str(context)).succeeded().error_lines
        return [line for line in lines if line.startswith("warning: ")]

    assert warnings(CONTEXT) == []
    [much] = warnings(2 * CONTEXT)
    assert much.startswith(f"warning: --context {2 * CONTEXT} is more than the {CONTEXT} events")
    [little] = warnings(3)
    assert little.startswith("warning: --context 3 is short: ")
    for words in (("compose", *SHORT), ("duet", "--midi-file", "x.mid"), ("evaluate", "x.mid")):
        outcome = run(*words, "--context", "1000000000").failed(2)
        assert "--context 1000000000 is far more than" in outcome.error_lines[-2]
        assert outcome.error_lines[-1] == f"hint: Use {CONTEXT} or less."


def test_a_composed_file_begins_with_its_first_note(run: Run) -> None:
    for seed in ("1", "2", "3"):
        run("compose", *SHORT, "--seed", seed, "-o", f"{seed}.mid").succeeded()
        notes = [m for m in mido.MidiFile(f"{seed}.mid") if m.type == "note_on"]
        assert notes[0].time == 0
