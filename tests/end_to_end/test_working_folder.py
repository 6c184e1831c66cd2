"""What lies beside one's files is not run: Python files have the names of modules there, too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PRIMERS = Path(__file__).resolve().parents[2] / "data" / "primers"
MODULES = ("resource", "selectors", "signal", "multiprocessing", "numpy", "json", "perceiver_music")


@pytest.mark.parametrize(
    "words",
    [
        ("render", "bach_prelude_c_major.mid", "-o", "bach.wav"),
        ("preprocess", ".", "-o", "of_midi.store", "--workers", "2"),
    ],
)
def test_a_module_in_the_working_folder_is_not_imported(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    for primer in PRIMERS.glob("*.mid"):
        shutil.copy(primer, tmp_path)
    for name in MODULES:
        tmp_path.joinpath(f"{name}.py").write_text("open('was-run', 'w').close()\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = os.fspath(PRIMERS.parents[1])
    # As the console script: without the working folder in its path, and without a word of that.
    script = tmp_path / "bin" / "perceiver-music"
    script.parent.mkdir()
    script.write_text(
        "from perceiver_music.__main__ import main\nif __name__ == '__main__':\n    main()\n"
    )
    command = [sys.executable, os.fspath(script), *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "was-run").exists()
