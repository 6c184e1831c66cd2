"""The commands that write, and how to tell that what they wrote is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.evaluation.passage_index_file import read_passages
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.music.midi_file import read_midi
from tests.faults.workshop import Workshop


def _is_midi(path: Path) -> bool:
    read_midi(path)
    return True


def _is_store(path: Path) -> bool:
    TokenStore.open(path)
    return True


def _sound_of(path: Path) -> bytes:
    import soundfile

    samples, _ = soundfile.read(os.fspath(path))
    return samples.tobytes()  # type: ignore[no-any-return]


def _is_audio(path: Path) -> bool:
    return bool(_sound_of(path))


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One command that writes, as one row of the table.

    Attributes:
        words: its command line.
        output: what it writes, below the folder.
        is_whole: whether an output is whole; raises a failure of ours, or says False.
        is_again: whether the command is to be run once before, so that an old output is there.
        prepare: makes the old state instead, from the folder.
        content: what is equal when the same command writes the same.
        most: places to fail at, at most; they are drawn evenly.
    """

    words: tuple[str, ...]
    output: str
    is_whole: Callable[[Path], bool]
    is_again: bool = True
    prepare: Callable[[Path, Workshop], None] | None = None
    content: Callable[[Path], bytes] = Path.read_bytes
    most: int = 1000


def _is_picture(path: Path) -> bool:
    data = path.read_bytes()
    return data.startswith((b"\x89PNG", b"<")) and data.endswith((b"IEND\xaeB`\x82", b">\n"))


def _is_checkpoint_with_index(path: Path) -> bool:
    """Whether it can be used: an index that its table does not name is no harm."""
    load_checkpoint(path.parent)
    read_passages(path)
    return True


def _copy_checkpoint(folder: Path, workshop: Workshop) -> None:
    """One that carries the index of another store."""
    shutil.rmtree(folder / "tiny", ignore_errors=True)
    shutil.copytree(workshop.checkpoint, folder / "tiny")


MODEL = ("--checkpoint", "{checkpoint}", "--seed", "1", "--length", "12", "--force")
GAP = ("--checkpoint", "{checkpoint}", "--seed", "1", "--force")
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
    "infill": Writer(
        words=("infill", "{primer}", "--between", "1", "2", *GAP, "-o", "{folder}/x.mid"),
        output="x.mid",
        is_whole=_is_midi,
    ),
    "replay": Writer(
        words=("replay", "{made}", *MODEL[:2], "--force", "-o", "{folder}/x.mid"),
        output="x.mid",
        is_whole=_is_midi,
    ),
    "duet": Writer(
        words=("duet", "--midi-file", "{short}", *GAP, "--length", "1s", "-o", "{folder}/x.mid"),
        output="x.mid",
        is_whole=_is_midi,
    ),
    **{
        f"view .{suffix}": Writer(
            words=("view", "{short}", "--force", "-o", f"{{folder}}/x.{suffix}"),
            output=f"x.{suffix}",
            is_whole=_is_picture,
            most=40,
        )
        for suffix in ("png", "svg", "html")
    },
    "check --build-index": Writer(
        words=(
            *("check", "--build-index", "--data", "{other}"),
            *("--checkpoint", "{folder}/tiny", "--force"),
        ),
        output="tiny/passages.index",
        is_whole=_is_checkpoint_with_index,
        prepare=_copy_checkpoint,
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
            # Each ogg file has a serial number of its own.
            content=_sound_of if suffix == "ogg" else Path.read_bytes,
            most=40,
        )
        for suffix in ("wav", "flac", "ogg", "mp3")
    },
}
"""Every writer but `train`, whose run folder is examined in its own way."""
