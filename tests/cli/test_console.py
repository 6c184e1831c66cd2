"""What goes where: results out, the rest beside them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from perceiver_music.cli import progress_display
from perceiver_music.cli.console import Console, printable
from perceiver_music.jobs.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    stream = _Terminal()
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return stream


def _console(stream: _Terminal, monkeypatch: pytest.MonkeyPatch) -> Console:
    # Not in the fixture: pytest puts its own stream in place when the test begins.
    monkeypatch.setattr(sys, "stderr", stream)
    return Console()


def _work(console: Console, *, plain_lines: bool = False) -> None:
    with console.progress("work", plain_lines=plain_lines) as on_progress:
        for done in range(3):
            on_progress(Progress(done=done, total=2, unit="steps", message="loss [1.5]"))


def test_a_bar_on_a_terminal(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    _work(_console(terminal, monkeypatch))
    shown = terminal.getvalue()
    assert "2/2 steps" in shown
    assert "loss [1.5]" in shown
    assert "\x1b[" in shown


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_bar_keeps_to_the_columns(
    terminal: _Terminal, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.text import Text

    monkeypatch.setenv("COLUMNS", columns)
    _work(_console(terminal, monkeypatch))
    for line in terminal.getvalue().replace("\r", "\n").splitlines():
        assert Text.from_ansi(line).cell_len <= int(columns)


def test_no_colour_when_told_so(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    _console(terminal, monkeypatch).warning("careful")
    assert terminal.getvalue() == "warning: careful\n"


def test_colour_otherwise(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    _console(terminal, monkeypatch).warning("careful")
    assert "\x1b[33mwarning: " in terminal.getvalue()


def test_no_bar_on_a_dumb_terminal(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    _work(_console(terminal, monkeypatch))
    assert terminal.getvalue() == ""
    _work(_console(terminal, monkeypatch), plain_lines=True)
    assert "\x1b" not in terminal.getvalue()
    assert "2/2 steps" in terminal.getvalue()


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _work(Console())
    assert capsys.readouterr() == ("", "")
    _work(Console(), plain_lines=True)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("0/2 steps")
    assert said[-1].startswith("2/2 steps")
    assert len(said) == 2  # one now and then, not one a step


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    def speak(console: Console) -> str:
        _work(console, plain_lines=True)
        console.info("seed 7")
        console.warning("odd")
        console.detail("fine print")
        return capsys.readouterr().err

    assert speak(Console(quiet=True)) == ""
    assert "fine print" not in speak(Console())
    assert "fine print" in speak(Console(verbose=True))


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    Console().info("word " * 100)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_table_is_aligned(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console().table(("name", "n"), [("long name", "1"), ("x\n", "22")])
    assert capfdbinary.readouterr().out == b"name       n\nlong name  1\nx\\n        22\n"


def test_a_path_is_printed_as_the_file_system_has_it(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    Console().path("caf\udce9.mid")
    assert capfdbinary.readouterr().out == b"caf\xe9.mid\n"


def test_a_path_is_one_line_whatever_is_in_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console().path("a\nb\r.mid")
    Console().line("a\tb\n: whole")
    out, err = capfdbinary.readouterr()
    assert out == b"a\\nb\\r.mid\na\tb\\n: whole\n"
    assert err.startswith(b"warning: a\\nb\\r.mid: a line break")
    Console().path("a\tb.mid")
    assert capfdbinary.readouterr() == (b"a\tb.mid\n", b"")


def test_what_the_locale_cannot_spell_is_printed_as_utf_8(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    Console().line("2.5 █")
    Console().lines(["a", "█"])
    assert capfdbinary.readouterr().out == "2.5 █\na\n█\n".encode()


def test_json_is_ascii_and_has_no_infinity(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console(as_json=True).json({"peak": float("-inf"), "list": [float("nan"), 1.5], "é": "é"})
    out = capfdbinary.readouterr().out
    assert out == b'{"peak": null, "list": [null, 1.5], "\\u00e9": "\\u00e9"}\n'


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("mix/bad\udcff.mid", r"mix/bad\xff.mid"),  # the byte, as on standard error
        ("caf\udcc3\udca9.mid", "café.mid"),  # UTF-8 that a C locale did not take for it
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_json_has_no_lone_surrogate(
    capfdbinary: pytest.CaptureFixture[bytes], name: str, written: str
) -> None:
    Console(as_json=True).json({"inputs": [Path(name)], name: {"path": name}})
    said = json.loads(capfdbinary.readouterr().out)
    assert said == {"inputs": [written], written: {"path": written}}


def test_printable() -> None:
    assert printable("a\tb\r\n\x1b[0m\u202eé\udcff") == r"a\tb\r\n\x1b[0m\u202eé\xff"


def test_rates() -> None:
    steps = Progress(done=1200, total=2000, unit="steps")
    assert progress_display.count_and_rate(steps, 3.0) == "1,200/2,000 steps, 3.0/s"
    slow = Progress(done=1, total=150, unit="steps")
    assert progress_display.count_and_rate(slow, 1 / 47) == "1/150 steps, 47 s each"
    unknown = Progress(done=5_000_000, total=None, unit="bytes")
    assert progress_display.count_and_rate(unknown, 2.5e6) == "5.0 MB, 2.5 MB/s"


def test_a_pace_counts_from_the_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 104.0])
    monkeypatch.setattr(progress_display.time, "perf_counter", lambda: next(clock))
    pace = progress_display.Pace()
    rates = [pace.of(Progress(done=done, total=None, unit="steps")) for done in (1000, 1000, 1002)]
    assert rates == [None, None, 0.5]
