"""`view` from outside."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


def test_in_the_terminal(run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is set in tests: braille, no escape in sight, as wide as COLUMNS says."""
    write_midi("x.mid", num_notes=30)
    text = run("view", "x.mid").succeeded().stdout.decode()
    assert any(0x2800 < ord(character) < 0x2900 for character in text)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, run("view", "x.mid").stdout.decode().splitlines())) <= 40
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLORTERM", "truecolor")
    coloured = run("view", "x.mid", stdout_is_terminal=True).stdout.decode()
    assert "\x1b[38;2;" in coloured
    assert "▀" in coloured or "▄" in coloured
    assert "\x1b" not in run("view", "x.mid").stdout.decode()
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in run("view", "x.mid", stdout_is_terminal=True).stdout.decode()


def test_pictures_and_pages(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid", num_notes=9)
    assert run("view", "x.mid", "-o", "new/x.png").succeeded().lines == ["new/x.png"]
    assert Path("new/x.png").read_bytes().startswith(b"\x89PNG")
    fields = run("view", "x.mid", "-o", "x.svg", "--json").succeeded().object
    assert (fields["schema"], fields["notes"], fields["output"]) == ("view/1", 9, "x.svg")
    assert Path("x.svg").read_text().count('class="note"') == 9
    run("view", "x.mid", "-o", "x.html", "--audio", "none").succeeded()
    assert Path("x.html").read_text().count('class="note p') == 9
    run("view", "x.mid", "-o", "x.svg").failed(73)
    run("view", "x.mid", "-o", "x.svg", "--force").succeeded()
    assert run("view", "x.mid", "-o", "x.svg", "--skip-existing").succeeded().lines == []


def test_which_kind_of_picture(run: Run, write_midi: WriteMidi) -> None:
    """As the help of `-o` and `--format` has it."""
    write_midi("x.mid", num_notes=9)
    assert len(run("view", "x.mid").succeeded().lines) > 3
    assert [path.name for path in Path().iterdir()] == ["x.mid"]
    assert run("view", "x.mid", "--format", "png").succeeded().lines == ["x.png"]
    silent = ("--audio", "none")
    assert run("view", "x.mid", "-o", "pages/", *silent).succeeded().lines == ["pages/x.html"]
    page = run("view", "x.mid", "-o", "-", *silent).succeeded().stdout
    assert page == Path("pages/x.html").read_bytes()
    refused = run("view", "x.mid", "-o", "v/x").failed(2).stderr
    assert "*.png, *.svg or *.html" in refused
    refused = run("view", "x.mid", "-o", "v/x", "--format", "png").failed(2).stderr
    assert "*.png" in refused
    assert "svg" not in refused
    assert not Path("v").exists()


def test_audio_with_and_without_its_value(run: Run, write_midi: WriteMidi) -> None:
    write_midi("x.mid", num_notes=3)
    for words in (
        ("--audio", "x.mid", "-o", "a.html"),
        ("x.mid", "--audio", "-o", "b.html"),
        ("x.mid", "-o", "c.html", "--audio"),
        ("x.mid", "-o", "d.html", "--audio", "render"),
    ):
        audio = run("view", *words, "--json").succeeded().object["audio"]
        assert audio["source"] == "render"
        assert audio["seconds"] > 0
    assert Path("a.html").read_bytes() == Path("d.html").read_bytes()
    run("view", "x.mid", "-o", "x.png", "--audio").failed(2)
    run("view", "x.mid", "-o", "e.html", "--audio", "gone.mp3").failed(74)


def test_it_opens_the_browser(
    run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    write_midi("x y.mid", num_notes=3)
    assert run("view", "x y.mid", "--open", "--audio", "none").succeeded().lines == ["x y.html"]
    assert opened == [Path("x y.html").resolve().as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    words = ("--open", "--audio", "none", "--force")
    assert "no browser" in run("view", "x y.mid", *words).succeeded().stderr


def test_a_batch(run: Run, write_midi: WriteMidi, small_midi: Callable[..., bytes]) -> None:
    write_midi("f/a.mid")
    write_midi("f/c.mid")
    Path("f/bad.mid").write_bytes(b"junk")
    outcome = run("view", "f", "-o", "pictures/", "--format", "svg").failed(3)
    assert outcome.lines == ["pictures/a.svg", "pictures/c.svg"]
    piped = run("view", "-", "-o", "-", "--format", "png", stdin=small_midi()).succeeded()
    assert piped.stdout.startswith(b"\x89PNG")
    run(
        "view", "-", "-o", "-", "--format", "png", stdin=small_midi(), stdout_is_terminal=True
    ).failed(2)


def test_what_is_new_is_what_the_file_says(
    run: Run, write_midi: WriteMidi, checkpoint: Path
) -> None:
    write_midi("x.mid", num_notes=12)
    words = ("--length", "40", "--seed", "3", "--checkpoint", checkpoint, "--device", "cpu")
    [made] = run("continue", "x.mid", *words).succeeded().lines
    fields = run("view", made, "-o", "x.svg", "--json").succeeded().object
    assert fields["notes"] - fields["new_notes"] == 12
    assert Path("x.svg").read_text().count('class="note new"') == fields["new_notes"]
    said = run("view", "x.mid", "--new-from", "0:01", "-o", "y.svg", "--json").object
    assert said["new_seconds"][0] == 1.0


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "x.gif"),
        ("--format", "gif"),
        ("-o", "x.png", "--format", "svg"),
        ("--new-from", "soon"),
        ("-o", "-", "--open"),
        ("-o", "x.html", "--audio", "x.txt"),
        ("--audio", "render"),
    ],
    ids=" ".join,
)
def test_wrong_words(run: Run, write_midi: WriteMidi, words: tuple[str, ...]) -> None:
    write_midi("x.mid", num_notes=3)
    run("view", "x.mid", *words).failed(2)
    assert [path.name for path in Path().iterdir()] == ["x.mid"]
