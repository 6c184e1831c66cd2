"""Promise 2: a failed read or write leaves the old file or the new one, whole, and no other."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import PerceiverMusicError
from perceiver_music.model.checkpoint_description import verify_checkpoint
from perceiver_music.music.midi_file import read_midi
from tests.faults.commands import Ended, StorageFault
from tests.faults.ledger import Ledger
from tests.faults.training_runs import resume_words, start_words
from tests.faults.workshop import Workshop

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR)
LETTERS = "owsrlcm"
"""Open, write, sync, rename, link, close, make a folder. Not unlink: it is how we clean up."""

SMALL_DISK = 1 << 20
SMALL_LIMIT = 2048


def _is_midi(path: Path) -> bool:
    read_midi(path)
    return True


def _is_store(path: Path) -> bool:
    TokenStore.open(path)
    return True


def _is_run(path: Path) -> bool:
    """Whether every step and the checkpoint of a run are whole, if they are there."""
    from perceiver_music.training.run_state import _load, step_folders

    for step in step_folders(path):
        _load(step)
    if (path / "checkpoint").exists():
        verify_checkpoint(path / "checkpoint")
    return True


def _is_audio(path: Path) -> bool:
    import soundfile

    return bool(soundfile.info(os.fspath(path)).frames)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One command that writes, as one row of the table.

    Attributes:
        words: its command line.
        output: what it writes, below the folder.
        is_whole: whether an output is whole; raises a failure of ours, or says False.
        is_again: whether the command is to be run once before, so that an old output is there.
        most: places to fail at, at most; they are drawn evenly.
    """

    words: tuple[str, ...]
    output: str
    is_whole: Callable[[Path], bool]
    is_again: bool = True
    most: int = 1000


MODEL = ("--checkpoint", "{checkpoint}", "--seed", "1", "--length", "12", "--force")
RENDER = ("render", "{short}", "--force", "-o")

WRITERS = {
    "preprocess": Writer(
        words=("preprocess", "{primer}", "-o", "{folder}/x.store", "--workers", "1", "--force"),
        output="x.store",
        is_whole=_is_store,
    ),
    "continue": Writer(
        words=("continue", "{primer}", *MODEL, "-o", "{folder}/x.mid"),
        output="x.mid",
        is_whole=_is_midi,
    ),
    "compose, a new file": Writer(
        words=("compose", *MODEL[:-1], "-o", "{folder}/new/x.mid"),
        output="new/x.mid",
        is_whole=_is_midi,
        is_again=False,
    ),
    "tokens --decode": Writer(
        words=("tokens", "--decode", "{ids}", "--force", "-o", "{folder}/x.mid"),
        output="x.mid",
        is_whole=_is_midi,
    ),
    **{
        f"render .{suffix}": Writer(
            words=(*RENDER, f"{{folder}}/x.{suffix}"),
            output=f"x.{suffix}",
            is_whole=_is_audio,
            most=40,
        )
        for suffix in ("wav", "flac", "ogg", "mp3")
    },
}
"""Every writer but `train`, whose run folder is examined in its own way."""


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
    if writer.is_again:
        assert workshop.commands.run(*words, folder=folder).code == 0
    calls = workshop.commands.run(*words, folder=folder, fault=fault).calls
    old = target.read_bytes()
    ledger.notes[f"calls of {name}"] = len(calls)
    for place, error in _points(calls, writer.most, size, name):
        if not writer.is_again:
            target.unlink(missing_ok=True)
        fault = StorageFault(folder=folder, letters=LETTERS, at=place, error=error)
        ended = workshop.commands.run(*words, folder=folder, fault=fault)
        why = _judge(ended, target, writer, old, is_there=writer.is_again)
        trial = f"{name}: {errno.errorcode[error]} at call {place} ({calls[place - 1]})"
        ledger.enter(not why, trial, f"{why}; {ended}")
        for leaving in _leavings(folder):
            leaving.unlink()


def _inputs(workshop: Workshop) -> dict[str, object]:
    ids = workshop.folder / "ids.json"
    ids.write_text("[360, 60, 260, 188]")
    short = workshop.folder / "short.mid"
    if not short.exists():
        words = ("tokens", "--decode", str(ids), "-o", str(short))
        workshop.commands.run(*words, folder=workshop.folder)
    return {"ids": ids, "short": short}


def _leavings(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def _judge(ended: Ended, target: Path, writer: Writer, old: bytes, *, is_there: bool) -> str | None:
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
    # The same command makes the same bytes, but for ogg's serial number.
    is_same = target.read_bytes() == old or target.suffix == ".ogg"
    return None if is_same else "other bytes than before"


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
        limits = {"RLIMIT_FSIZE": SMALL_LIMIT if "mid" not in writer.output else 16}
        ended = workshop.commands.run(*words, folder=folder, limits=limits)
        is_kept = ended.code == 74 and not [path for path in folder.rglob("*") if path.is_file()]
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
    filler = disk / "filler"
    filler.touch()
    with contextlib.suppress(OSError), filler.open("r+b", buffering=0) as stream:
        while True:
            stream.write(bytes(resource.getpagesize()))
    ended = workshop.commands.run(*words, folder=disk, patience=60)
    files = [path for path in disk.rglob("*") if path.is_file() and path != filler]
    ledger.enter(ended.code == 74 and not files, f"{name} on a full disk", f"{ended} {files}")
