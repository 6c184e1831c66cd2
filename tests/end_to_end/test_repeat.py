"""One command makes the bundled weights again; here with few steps of few windows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "windows.contexts": "[[0, 64]]",
    "windows.latents": "32",
    "windows.windows_per_step": "1",
    "run.windows_per_pass": "1",
    "run.compile": "false",
    "run.data_workers": "0",
    "run.validation_events": "50",
    "schedule.max_steps": "2",
    "schedule.warmup_steps": "1",
}


@pytest.mark.slow
def test_teachers_then_the_student_and_again_from_where_it_stopped(
    tmp_path: Path, tiny_store: TokenStore
) -> None:
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("there is no sh")
    program = tmp_path / "bin" / "perceiver-music"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m perceiver_music "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = [shell, str(ROOT / "checkpoints" / "repeat.sh"), str(tiny_store.path), *settings]

    def repeat() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    repeat()
    runs = tmp_path / "runs"
    student = json.loads((runs / "maestro-distil/checkpoint/checkpoint.json").read_text())
    teachers = [
        json.loads((runs / name / "checkpoint/checkpoint.json").read_text())
        for name in ("maestro-gpu-1", "maestro-gpu-2")
    ]
    seeds = [teacher["recipe"]["run"]["seed"] for teacher in teachers]
    assert len(set(seeds)) == 2
    assert len(student["teachers_sha256"]) == 2
    assert student["started_from"]["sha256"] == student["teachers_sha256"][0]
    shutil.rmtree(runs / "maestro-distil")
    kept = (runs / "maestro-gpu-1/run.json").stat().st_mtime_ns
    repeat()
    assert (runs / "maestro-distil/checkpoint/checkpoint.json").is_file()
    assert (runs / "maestro-gpu-1/run.json").stat().st_mtime_ns == kept
