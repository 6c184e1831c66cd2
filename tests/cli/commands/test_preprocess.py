"""`preprocess`, from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Run

WriteMidi = Callable[..., Path]


def _folder(write_midi: WriteMidi) -> None:
    for seed in range(3):
        write_midi(f"music/{seed}.mid", seed=seed)
    write_midi("music/again.mid", seed=1)
    Path("music/bad.mid").write_bytes(b"<html>404</html>")


def test_a_folder_becomes_a_store(run: Run, write_midi: WriteMidi) -> None:
    _folder(write_midi)
    outcome = run("preprocess", "music", "--workers", "1").succeeded()
    assert outcome.lines == ["data/music.store"]
    assert Path("data/music.store").is_file()
    assert "bad.mid" in outcome.stderr
    assert "validation: no piece; with so few" in outcome.stderr


def test_its_object(run: Run, write_midi: WriteMidi) -> None:
    _folder(write_midi)
    said = run("preprocess", "music", "-o", "new/x.store", "--workers", "1", "--json").succeeded()
    fields = said.object
    assert fields["schema"] == "preprocess/1"
    assert fields["store"] == "new/x.store"
    assert fields["outputs"] == ["new/x.store"]
    assert set(fields["splits"]) == {"train", "validation", "test"}
    assert set(fields["splits"]["train"]) == {"pieces", "notes", "events", "seconds"}
    assert sum(split["pieces"] for split in fields["splits"].values()) == 3
    assert fields["duplicates"] == 1
    [rejected] = fields["rejected"]
    assert rejected["path"].endswith("bad.mid")
    assert rejected["reason"]


def test_a_store_is_not_overwritten(run: Run, write_midi: WriteMidi) -> None:
    write_midi("music/1.mid")
    arguments = ("preprocess", "music", "-o", "x.store", "--workers", "1")
    run(*arguments).succeeded()
    before = Path("x.store").stat().st_ino
    run(*arguments).failed(73)
    skipped = run(*arguments, "--skip-existing", "--json").succeeded().object
    assert skipped["skipped"] is True
    assert Path("x.store").stat().st_ino == before
    run(*arguments, "--force").succeeded()
    run(*arguments, "--force", "--skip-existing").failed(2)


def test_a_store_goes_into_a_folder_and_not_to_stdout(run: Run, write_midi: WriteMidi) -> None:
    write_midi("music/1.mid")
    arguments = ("preprocess", "music", "--workers", "1", "-o")
    assert run(*arguments, "new/").succeeded().lines == ["new/music.store"]
    run(*arguments, "new").failed(73)
    assert run(*arguments, "{stem}-1.store").succeeded().lines == ["music-1.store"]
    refused = run(*arguments, "-").failed(2)
    assert refused.error_lines == [
        "error: -o - cannot carry a token store",
        "hint: Name a file, such as -o music.store.",
    ]
    run(*arguments, "").failed(2)
    assert not Path("-").exists()


def test_a_list_on_stdin(run: Run, write_midi: WriteMidi) -> None:
    names = [write_midi(f"{seed}.mid", seed=seed).name for seed in range(2)]
    outcome = run(
        *("preprocess", "-", "-o", "x.store", "--workers", "1", "--json"),
        stdin="\n".join(names).encode(),
    )
    assert sum(split["pieces"] for split in outcome.succeeded().object["splits"].values()) == 2


def test_nothing_that_can_be_read(run: Run) -> None:
    Path("bad.mid").write_bytes(b"junk")
    run("preprocess", "bad.mid", "--workers", "1").failed(65)
    run("preprocess", "missing/", "--workers", "1").failed(74)
    run("preprocess", "bad.mid", "--workers", "0").failed(2)
    assert not Path("data").exists() or not list(Path("data").glob("*.store"))
