"""flag > environment > project file > user file > default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from perceiver_music.cli.app import app
from perceiver_music.cli.settings import bind_environment, user_settings_file

if TYPE_CHECKING:
    from tests.cli.conftest import Run

MISSING = "missing.mid"


@pytest.fixture
def asked(run: Run, monkeypatch: pytest.MonkeyPatch):
    """The request that `render` would hand to its job, as a dict."""
    from perceiver_music.jobs import render as job

    requests = []

    def remember(request, *_):
        requests.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run", remember, raising=False)

    def ask(*arguments: str):
        requests.clear()
        outcome = run("render", MISSING, *arguments)
        assert outcome.code == 130, outcome
        return requests[0]

    return ask


def _project(text: str) -> None:
    Path("perceiver-music.toml").write_text(text)


def _user(text: str) -> None:
    path = user_settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_order(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked().sample_rate == 44_100
    _user("sample-rate = 1000\ngain = 1")
    assert asked().sample_rate == 1000
    _project("sample-rate = 2000")
    assert asked().sample_rate == 2000
    assert asked().gain_db == 1
    _project("sample_rate = 2000\n[render]\nsample_rate = 3000")
    assert asked().sample_rate == 3000
    monkeypatch.setenv("PERCEIVER_MUSIC_SAMPLE_RATE", "4000")
    assert asked().sample_rate == 4000
    monkeypatch.setenv("PERCEIVER_MUSIC_RENDER_SAMPLE_RATE", "5000")
    assert asked().sample_rate == 5000
    assert asked("--sample-rate", "6000").sample_rate == 6000


def test_a_table_in_pyproject(asked) -> None:
    Path("pyproject.toml").write_text("[tool.perceiver-music]\nreverb = false\n")
    assert not asked().reverb
    assert asked("--reverb").reverb
    _project("reverb = true")
    assert asked().reverb


def test_somebody_elses_pyproject_is_not_read(asked) -> None:
    Path("pyproject.toml").write_text("this is [not TOML")
    assert asked().reverb


def test_flags_are_settings_too(run: Run) -> None:
    _project("json = true")
    assert run("render", MISSING).failed(run("render", MISSING).code).object["error"]
    _project("quiet = true")
    assert run("render", MISSING).stdout == b""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("temprature = 1", "temprature"),
        ("[render]\nlength = '60s'", "render.length"),
        ("[redner]\ngain = 1", "redner"),
        ("output = 'x.wav'", "output"),
        ("force = true", "force"),
        ("gain = [1]", "gain"),
        ("gain = ", "TOML"),
        ("\x00", "TOML"),
    ],
)
def test_a_wrong_file_is_refused(run: Run, text: str, named: str) -> None:
    _project(text)
    outcome = run("render", MISSING).failed(65)
    assert named in outcome.stderr
    assert "perceiver-music.toml" in outcome.stderr
    run("--help").succeeded()
    run("render", "--help").succeeded()


@pytest.mark.parametrize("key", ["output", "force", "install-completion"])
def test_an_option_that_cannot_be_a_setting_is_told_as_such(
    run: Run, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = f"it: --{key} is for the command line alone."
    _project(f"{key} = true")
    in_file = run("render", MISSING).failed(65)
    assert in_file.error_lines[-1] == f"hint: Remove {reason}"
    Path("perceiver-music.toml").unlink()
    monkeypatch.setenv(f"PERCEIVER_MUSIC_{key.replace('-', '_').upper()}", "1")
    in_environment = run("render", MISSING).failed(2)
    assert in_environment.error_lines[-1] == f"hint: Unset {reason}"


def test_so_is_one_of_a_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _project("[compose]\noutput = 'x.mid'")
    assert "--output is for the command line" in run("render", MISSING).failed(65).error_lines[-1]
    monkeypatch.setenv("PERCEIVER_MUSIC_COMPOSE_FORCE", "1")
    assert "--force is for the command line" in run("render", MISSING).failed(2).error_lines[-1]


def test_a_wrong_value_is_blamed_on_its_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _project("sample-rate = 'fast'")
    assert "perceiver-music.toml" in run("render", MISSING).failed(65).stderr
    monkeypatch.setenv("PERCEIVER_MUSIC_SAMPLE_RATE", "faster")
    assert "PERCEIVER_MUSIC_SAMPLE_RATE" in run("render", MISSING).failed(2).stderr
    assert "--sample-rate" in run("render", MISSING, "--sample-rate", "fastest").failed(2).stderr


def test_an_unknown_variable_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_SAMPEL_RATE", "1")
    outcome = run("render", MISSING).failed(2)
    assert "PERCEIVER_MUSIC_SAMPLE_RATE" in outcome.stderr  # what was perhaps meant
    run("--help").succeeded()


def test_offline_is_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_OFFLINE", "1")
    run("models", "list").succeeded()


def test_every_option_has_its_variable() -> None:
    tree = typer.main.get_command(app)
    bind_environment(tree)
    [option] = [p for p in tree.commands["train"].params if p.name == "max_steps"]
    assert option.envvar == ["PERCEIVER_MUSIC_TRAIN_MAX_STEPS", "PERCEIVER_MUSIC_MAX_STEPS"]


def test_help_works_with_no_home(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name)
    assert "HOME" not in os.environ
    run("--help").succeeded()
