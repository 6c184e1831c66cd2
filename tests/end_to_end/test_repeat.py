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

    def repeat(*options: str, ends_with: int = 0) -> str:
        done = subprocess.run(
            [*command, *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == ends_with, done.stderr
        return done.stderr

    runs = tmp_path / "runs"
    # Out of time after the first step: nobody learns from such a teacher.
    assert "maestro-gpu-1 has stopped" in repeat("--max-minutes", "0.00001", ends_with=1)
    assert [run.name for run in runs.iterdir()] == ["maestro-gpu-1"]
    repeat()
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


STAND_IN = """
import json, sys
from pathlib import Path
Path("calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
run = Path(sys.argv[sys.argv.index("--output") + 1])
run.mkdir(parents=True, exist_ok=True)
(run / "run.json").write_text(json.dumps({"recipe": {"max_steps": 9, "warmup": 1}}, indent=2))
step = 5 if "--max-minutes" in sys.argv else 9
with (run / "metrics.jsonl").open("a") as file:
    file.write(json.dumps({"run": str(run), "step": step, "loss_tokens": 9}) + "\\n")
"""


def test_options_are_for_what_goes_on_too_and_nothing_is_done_twice(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("there is no sh")
    program = tmp_path / "bin" / "perceiver-music"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}

    def calls(*options: str) -> tuple[int, list[str]]:
        (tmp_path / "calls").write_text("")
        command = [shell, str(ROOT / "checkpoints" / "repeat.sh"), "a b.store", *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, timeout=60, check=False)
        words = (tmp_path / "calls").read_text().splitlines()
        return done.returncode, [line.removeprefix("train --data a b.store ") for line in words]

    first, second, student = (
        f"--output runs/{name}" for name in ("maestro-gpu-1", "maestro-gpu-2", "maestro-distil")
    )
    in_time = ("--max-minutes", "1", "--device", "cpu")
    code, said = calls(*in_time)
    assert (code, said) == (1, [f"{first} --recipe maestro-gpu {' '.join(in_time)}"])
    code, said = calls(*in_time)
    assert (code, said) == (1, [f"{first} --resume {' '.join(in_time)}"])
    code, said = calls("--device", "cpu")
    assert code == 0
    assert said == [
        f"{first} --resume --device cpu",
        f"{second} --recipe maestro-gpu --set run.seed=2 --device cpu",
        f"{student} --recipe maestro-distil --init runs/maestro-gpu-1 --device cpu",
    ]
    assert calls("--device", "cpu") == (0, [])
