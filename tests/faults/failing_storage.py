"""Promise 2: a failed read or write leaves the old file or the new one, whole, and no other."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from perceiver_music.errors import PerceiverMusicError
from perceiver_music.model.checkpoint_description import verify_checkpoint
from tests.faults.commands import Ended, StorageFault
from tests.faults.ledger import Ledger
from tests.faults.training_runs import resume_words, start_words
from tests.faults.workshop import ONE_NOTE, Workshop
from tests.faults.writers import WRITERS, Writer

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR)
LETTERS = "owsrlcm"
"""Open, write, sync, rename, link, close, make a folder. Not unlink: it is how we clean up."""

SMALL_DISK = 1 << 20
SMALL_LIMIT = 2048


def _is_run(path: Path) -> bool:
    """Whether every step and the checkpoint of a run are whole, if they are there."""
    from perceiver_music.training.run_state import _load, step_folders

    for step in step_folders(path):
        _load(step)
    if (path / "checkpoint").exists():
        verify_checkpoint(path / "checkpoint")
    return True


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Fail `size` places of each writer, then give it a small disk and `ulimit -f`."""
    for name, writer in WRITERS.items():
        _fail_everywhere(ledger, name, writer, size, workshop)
    _fail_training(ledger, size, workshop)
    _small_limit(ledger, workshop)
    _small_disk(ledger, workshop)


def _points(calls: str, most: int, size: int, seed: str) -> Iterator[tuple[int, int]]:
    """Pairs of a place and an error: all of them, or `size` drawn evenly."""
    places = list(range(1, len(calls) + 1))
    if len(places) > most:
        places = sorted(random.Random(seed).sample(places, most))
    points = [(place, error) for place in places for error in ERRORS]
    if len(points) > size:
        points = sorted(random.Random(seed).sample(points, size))
    yield from points


def _fail_everywhere(
    ledger: Ledger, name: str, writer: Writer, size: int, workshop: Workshop
) -> None:
    folder = workshop.fresh("failing")
    words = workshop.words(writer.words, folder=folder, **_inputs(workshop))
    target = folder / writer.output
    fault = StorageFault(folder=folder, letters=LETTERS)
    _prepare(writer, folder, workshop)
    allowed = {writer.content(target)} if target.exists() else set()
    if writer.is_again:
        assert workshop.commands.run(*words, folder=folder).code == 0
        _prepare(writer, folder, workshop)
    calls = workshop.commands.run(*words, folder=folder, fault=fault).calls
    allowed.add(writer.content(target))
    ledger.notes[f"calls of {name}"] = len(calls)
    for place, error in _points(calls, writer.most, size, name):
        if not writer.is_again:
            target.unlink(missing_ok=True)
        _prepare(writer, folder, workshop)
        fault = StorageFault(folder=folder, letters=LETTERS, at=place, error=error)
        ended = workshop.commands.run(*words, folder=folder, fault=fault)
        why = _judge(ended, target, writer, allowed, is_there=writer.is_again)
        trial = f"{name}: {errno.errorcode[error]} at call {place} ({calls[place - 1]})"
        ledger.enter(not why, trial, f"{why}; {ended}")
        for leaving in _leavings(folder):
            leaving.unlink()


def _prepare(writer: Writer, folder: Path, workshop: Workshop) -> None:
    if writer.prepare is not None:
        writer.prepare(folder, workshop)


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _inputs(workshop: Workshop) -> dict[str, object]:
    ids = workshop.folder / "ids.json"
    ids.write_text(ONE_NOTE)
    return {"ids": ids, "short": workshop.short, "other": workshop.other_store}


def _leavings(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def _judge(
    ended: Ended, target: Path, writer: Writer, allowed: set[bytes], *, is_there: bool
) -> str | None:
    """What is not as promised, or None."""
    if ended.code not in (0, 74) or not ended.is_clean:
        return "another code"
    if leavings := _leavings(target.parent):
        return f"left {leavings[0].name}"
    if not target.exists():
        return "nothing is there" if ended.code == 0 or is_there else None
    try:
        if not writer.is_whole(target):
            return "the file is not whole"
    except (PerceiverMusicError, RuntimeError) as error:
        return f"the file is not whole: {error}"
    return None if writer.content(target) in allowed else "other bytes than before"


def _fail_training(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """A run that failed is whole as far as it came, and goes on when the disk is well again."""
    run = workshop.fresh("failing") / "run"
    settings = ("run.checkpoint_every=1", "run.validate_every=1", "run.keep=1")
    words = start_words(workshop, run, *settings, steps=3)
    calls = workshop.commands.run(
        *words, folder=run.parent, fault=StorageFault(folder=run, letters=LETTERS)
    ).calls
    ledger.notes["calls of train"] = len(calls)
    for place, error in _points(calls, 1000, size, "train"):
        workshop.fresh("failing")
        fault = StorageFault(folder=run, letters=LETTERS, at=place, error=error)
        ended = workshop.commands.run(*words, folder=run.parent, fault=fault)
        why = None if ended.code in (0, 74) and ended.is_clean else "another code"
        why = why or _state_of(run, ended)
        if why is None and ended.code == 74:
            again = resume_words(run) if (run / "run.json").exists() else words
            ended = workshop.commands.run(*again, folder=run.parent)
            is_done = ended.code == 2 and "already" in ended.stderr
            why = None if ended.code == 0 or is_done else "it does not go on"
        trial = f"train: {errno.errorcode[error]} at call {place} ({calls[place - 1]})"
        ledger.enter(why is None, trial, f"{why}; {ended}")


def _state_of(run: Path, ended: Ended) -> str | None:
    if leavings := [path for path in run.rglob(".*") if path.name != ".run.lock"]:
        return f"left {leavings[0].name}"
    try:
        _is_run(run)
    except PerceiverMusicError as error:
        return f"something is not whole: {error}"
    return None


def _small_limit(ledger: Ledger, workshop: Workshop) -> None:
    """`ulimit -f`: the file may not grow beyond a few blocks."""
    for name, writer in WRITERS.items():
        folder = workshop.fresh("failing")
        words = workshop.words(writer.words, folder=folder, **_inputs(workshop))
        _prepare(writer, folder, workshop)
        before = _files(folder)
        is_small = writer.output.endswith((".mid", ".index"))
        limits = {"RLIMIT_FSIZE": 16 if is_small else SMALL_LIMIT}
        ended = workshop.commands.run(*words, folder=folder, limits=limits)
        is_kept = ended.code == 74 and _files(folder) == before
        ledger.enter(is_kept, f"{name} under ulimit -f", ended)


def _small_disk(ledger: Ledger, workshop: Workshop) -> None:
    """A disk of one megabyte that is full, where we may make one."""
    disk = workshop.fresh("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", os.fspath(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        ledger.notes["full disk"] = "not tried: nobody may mount one here"
        return
    try:
        for name, writer in WRITERS.items():
            _on_full_disk(ledger, name, writer, disk, workshop)
    finally:
        subprocess.run(["umount", os.fspath(disk)], check=True)


def _on_full_disk(
    ledger: Ledger, name: str, writer: Writer, disk: Path, workshop: Workshop
) -> None:
    words = workshop.words(writer.words, folder=disk, **_inputs(workshop))
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _prepare(writer, disk, workshop)
    before = _files(disk)
    filler = disk / "filler"
    filler.touch()
    with contextlib.suppress(OSError), filler.open("r+b", buffering=0) as stream:
        while True:
            stream.write(bytes(resource.getpagesize()))
    ended = workshop.commands.run(*words, folder=disk, patience=60)
    files = {path: data for path, data in _files(disk).items() if path != filler}
    is_kept = ended.code == 74 and files == before
    ledger.enter(is_kept, f"{name} on a full disk", f"{ended} {list(files)}")
