"""`tokens`, from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


def test_events_one_a_line(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    outcome = run("tokens", "a.mid").succeeded()
    for line in outcome.lines:
        moment, token, name, value = line.split()
        assert float(moment) >= 0
        assert 0 <= int(token) < 388
        assert name in {"NOTE_ON", "NOTE_OFF", "TIME_SHIFT", "VELOCITY"}
        assert int(value) >= 0


def test_there_and_back(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    said = run("tokens", "a.mid", "--json").succeeded()
    fields = said.object
    assert fields["schema"] == "tokens/1"
    assert fields["events"] == len(fields["ids"])
    Path("a.json").write_bytes(said.stdout)
    assert run("tokens", "--decode", "a.json", "-o", "b.mid").succeeded().lines == ["b.mid"]
    assert run("tokens", "b.mid", "--json").succeeded().object["ids"] == fields["ids"]
    run("tokens", "--decode", "a.json", "-o", "b.mid").failed(73)
    assert run("tokens", "--decode", "a.json", "-o", "-").succeeded().stdout[:4] == b"MThd"


def test_a_line_break_in_a_name_does_not_make_two_lines(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    Path("a.json").write_bytes(run("tokens", "a.mid", "--json").stdout)
    name = "two\nlines.mid"
    outcome = run("tokens", "--decode", "a.json", "-o", name).succeeded()
    assert outcome.lines == [r"two\nlines.mid"]
    assert Path(name).exists()
    said = run("tokens", "--decode", "a.json", "-o", name, "--force", "--json").succeeded()
    assert said.object["output"] == name


def test_the_way_back_is_by_the_tokenizer_that_the_object_names(
    run: Run, write_midi: WriteMidi
) -> None:
    write_midi("a.mid")
    said = run("tokens", "a.mid", "--tokenizer", "pedal-performance-623", "--json").succeeded()
    Path("a.json").write_bytes(said.stdout)
    run("tokens", "--decode", "a.json", "-o", "b.mid").succeeded()
    again = run("tokens", "b.mid", "--tokenizer", "pedal-performance-623", "--json").succeeded()
    assert again.object["ids"] == said.object["ids"]
    run(
        "tokens", "--decode", "a.json", "--tokenizer", "maestro-performance-400", "-o", "c.mid"
    ).failed(65)


def test_ids_of_a_tokenizer_that_nobody_knows(run: Run) -> None:
    Path("ids.json").write_text(json.dumps({"ids": [1, 2], "tokenizer": "remi"}))
    arguments = ("tokens", "--decode", "ids.json", "-o", "x.mid")
    refused = run(*arguments, "--json").failed(65).object["error"]
    assert refused["path"] == "ids.json"
    assert "'remi'" in refused["message"]
    assert not Path("x.mid").exists()
    run(*arguments, "--tokenizer", "remi").failed(2)
    run(*arguments, "--tokenizer", "maestro-performance-400").succeeded()


def test_several_files_one_of_them_bad(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    Path("bad.mid").write_bytes(b"nothing")
    outcome = run("tokens", "a.mid", "bad.mid", "--json").failed(3)
    good, bad = outcome.objects
    assert good["input"] == "a.mid"
    assert bad["error"]["code"] == 65
    run("tokens", "bad.mid").failed(65)


def test_words_that_do_not_fit_together(run: Run, write_midi: WriteMidi) -> None:
    write_midi("a.mid")
    Path("ids.json").write_text(json.dumps([1, 2]))
    run("tokens").failed(2)
    run("tokens", "a.mid", "--decode", "ids.json").failed(2)
    run("tokens", "a.mid", "-o", "x.mid").failed(2)
    run("tokens", "a.mid", "--tokenizer", "remi").failed(2)
    for text, message in (
        ("[]", "its list of ids is empty"),
        ('{"ids": []}', "its list of ids is empty"),
        ('{"ids": 3}', "is not JSON with a list of ids"),
    ):
        Path("ids.json").write_text(text)
        outcome = run("tokens", "--decode", "ids.json").failed(65)
        assert outcome.error_lines[0] == f"error: ids.json: {message}"
        assert not Path("ids.mid").exists()
    Path("ids.json").write_text("[400]")
    run("tokens", "--decode", "ids.json").failed(65)


def test_of_several_files_each_says_which_it_is(run: Run, write_midi: WriteMidi) -> None:
    write_midi("f/a.mid")
    write_midi("f/b.mid", seed=1)
    alone = [run("tokens", f"f/{name}.mid").succeeded().lines for name in "ab"]
    both = run("tokens", "f").succeeded().lines
    assert both == ["# f/a.mid", *alone[0], "# f/b.mid", *alone[1]]
