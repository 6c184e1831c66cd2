"""The README's commands run as printed, and write the files that it says they write."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from perceiver_music.cli.app import app
from perceiver_music.cli.settings import commands_beneath
from perceiver_music.errors import UnavailableError
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
OUTPUT = re.compile(r"[\w./-]+\.(mid|wav|flac|ogg|mp3)")
NEEDS_DATA = re.compile(r"maestro|runs/|\btrain\b|\bevaluate\b")


def commands() -> list[tuple[str, list[str]]]:
    """Each `$ perceiver-music ...` line of the README with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        printed: list[str] = []  # a block without a command of its own prints nothing of another's
        for line in block.splitlines():
            if line.startswith("$ "):
                printed = []
                found.append((line.removeprefix("$ "), printed))
            else:
                printed.append(line)
    return [pair for pair in found if pair[0].startswith("perceiver-music")]


def commands_to_run() -> list[tuple[str, list[str]]]:
    """Those that need no more than what comes with the program."""
    return [
        pair
        for pair in commands()
        if not NEEDS_DATA.search(pair[0].removeprefix("perceiver-music"))
    ]


@pytest.mark.parametrize("command", [command for command, _ in commands()])
def test_every_command_is_one_of_ours(command: str) -> None:
    """Also those that are not run: their words are commands, options and values that we take."""
    words = shlex.split(command.partition("|")[0])[1:]
    known = dict(commands_beneath(typer.main.get_command(app)))
    depth = 2 if tuple(words[:2]) in known else 1
    assert known[tuple(words[:depth])].make_context(words[0], words[depth:]).params


@pytest.mark.slow
def test_every_command_does_what_it_says(tmp_path: Path) -> None:
    try:
        resolve_checkpoint()
    except UnavailableError:
        pytest.skip("no checkpoint is bundled")
    shutil.copytree(ROOT / "data" / "primers", tmp_path / "data" / "primers")
    assert len(commands_to_run()) >= 6
    program = tmp_path / "bin" / "perceiver-music"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m perceiver_music "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    for command, printed in commands_to_run():
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        expected = [line for line in printed if line]
        assert done.stdout.splitlines()[: len(expected)] == expected or not expected, command
        files = [line for line in expected if OUTPUT.fullmatch(line)]
        assert all((tmp_path / file).stat().st_size > 100 for file in files), command
