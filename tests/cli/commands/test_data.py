"""`data`, from outside; the network itself is tested with the job."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


def test_list_and_info(run: Run) -> None:
    assert any("maestro-v3" in line for line in run("data", "list").succeeded().lines)
    names = [row["name"] for row in run("data", "list", "--json").object["data_sets"]]
    assert "maestro-v3" in names
    fields = run("data", "info", "maestro-v3", "--json").succeeded().object
    assert fields["schema"] == "data info/1"
    assert len(fields["sha256"]) == 64
    assert any(fields["sha256"] in line for line in run("data", "info", "maestro-v3").lines)
    run("data", "info", "nope").failed(2)


def test_verify_what_is_not_here(run: Run) -> None:
    run("data", "verify", "maestro-v3").failed(74)
    run("data", "verify", "nowhere").failed(74)
    Path("empty").mkdir()
    run("data", "verify", "empty").failed(65)


def test_nothing_is_fetched_offline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEIVER_MUSIC_OFFLINE", "1")
    run("data", "download", "maestro-v3", "-o", "m").failed(69)
    assert not Path("m").exists()


def test_what_is_there_is_left_alone(run: Run) -> None:
    Path("m").mkdir()
    run("data", "download", "maestro-v3", "-o", "m").failed(73)
    run("data", "download", "maestro-v3", "-o", "m", "--skip-existing").succeeded()
    run("data", "download", "nope", "-o", "m", "--skip-existing").failed(2)


def _maestro(write_midi: WriteMidi) -> None:
    for seed in range(2):
        write_midi(f"set/{seed}.mid", seed=seed)
    Path("set/maestro-v3.0.0.csv").write_text(
        "canonical_composer,canonical_title,split,midi_filename\n"
        "Nobody,One,train,0.mid\nNobody,Two,test,1.mid\n"
    )


def test_verify_a_folder_that_is_whole(run: Run, write_midi: WriteMidi) -> None:
    _maestro(write_midi)
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in _files("set")]
    Path("set/SHA256SUMS").write_text("".join(f"{line}\n" for line in sums))
    [line] = run("data", "verify", "set").succeeded().lines
    assert line == "set: whole, 2 pieces, 3 checksums compared"
    fields = run("data", "verify", "set", "--json").succeeded().object
    assert fields["schema"] == "data verify/1"
    assert (fields["inputs"], fields["whole"], fields["problems"]) == (["set"], True, [])


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())


def test_verify_without_checksums_says_what_is_not_known(run: Run, write_midi: WriteMidi) -> None:
    _maestro(write_midi)
    [line] = run("data", "verify", "set").succeeded().lines
    assert line == (
        "set: 2 pieces, all there and readable; whether they were changed is not known, "
        "as the folder has no SHA256SUMS to compare them with"
    )


def test_verify_a_folder_that_is_not(run: Run, write_midi: WriteMidi) -> None:
    _maestro(write_midi)
    Path("set/0.mid").write_bytes(b"junk")
    Path("set/1.mid").unlink()
    outcome = run("data", "verify", "set").failed(65)
    assert outcome.stdout == b""
    assert {"0.mid", "1.mid"} <= set(outcome.stderr.replace(":", " ").split())
    fields = run("data", "verify", "set", "--json").failed(65).object
    assert fields["error"]["code"] == 65
    assert fields["whole"] is False
    assert sorted(problem["path"] for problem in fields["problems"]) == ["0.mid", "1.mid"]


def test_a_download_prints_its_folder(
    run: Run, write_midi: WriteMidi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is tested with the job; here its archive has arrived already."""
    from perceiver_music.jobs import data as job

    monkeypatch.setenv("PERCEIVER_MUSIC_OFFLINE", "1")
    _maestro(write_midi)
    with zipfile.ZipFile("set.zip", "w") as archive:
        for path in sorted(Path("set").iterdir()):
            archive.write(path, f"maestro-v3.0.0/{path.name}")
    sha256 = hashlib.sha256(Path("set.zip").read_bytes()).hexdigest()
    monkeypatch.setattr(
        job, "get_data_set", lambda name: dataclasses.replace(job.DATA_SETS[0], sha256=sha256)
    )
    for number, arguments in enumerate([(), ("--json",)]):
        folder = Path("new") / str(number)
        folder.parent.mkdir(exist_ok=True)
        shutil.copy("set.zip", folder.parent / f".{sha256[:16]}.zip.part")
        outcome = run("data", "download", "maestro-v3", "-o", folder, *arguments).succeeded()
        assert (folder / "0.mid").read_bytes() == Path("set/0.mid").read_bytes()
        if arguments:
            assert outcome.object["outputs"] == ["new/1"]
            assert outcome.object["licence"] == "CC BY-NC-SA 4.0"
        else:
            assert outcome.lines == ["new/0"]
    assert sorted(path.name for path in Path("new").iterdir()) == ["0", "1"]
