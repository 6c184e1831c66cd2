"""Promise 16: in odd surroundings every command ends in a documented way."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.commands import CHECKOUT
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

DOCUMENTED = {0, 2, 3, 65, 69, 73, 74, 75, 76, 130, 141, 143}
MODEL = ("--checkpoint", "{checkpoint}", "--length", "4", "--seed", "1", "--force")

COMMANDS = {
    "continue": ("continue", "{file}", *MODEL, "-o", "{output}.mid"),
    "compose": ("compose", *MODEL, "-o", "{output}.mid"),
    "infill": ("infill", "{file}", "--between", "1", "2", *MODEL[:2], "-o", "{output}.mid"),
    "replay": ("replay", "{file}", "--checkpoint", "{checkpoint}", "-o", "{output}.mid"),
    "replay --check": ("replay", "{file}", "--checkpoint", "{checkpoint}", "--check"),
    "duet": ("duet", "--midi-file", "{file}", *MODEL[:2], "--length", "1s", "-o", "{output}.mid"),
    "duet --list-ports": ("duet", "--list-ports"),
    "view": ("view", "{file}"),
    "view -o": ("view", "{file}", "--audio", "none", "-o", "{output}.html"),
    "check": ("check", "{file}", "--checkpoint", "{checkpoint}"),
    "check --data": ("check", "{file}", "--data", "{store}"),
    "bench": ("bench", "--checkpoint", "{checkpoint}", "--rounds", "1"),
    "render": ("render", "{file}", "--force", "-o", "{output}.wav"),
    "tokens": ("tokens", "{file}"),
    "preprocess": ("preprocess", "{file}", "-o", "{output}.store", "--workers", "1", "--force"),
    "train": (
        *("train", "--data", "{store}", "--output", "{output}-run", "--recipe", "smoke"),
        *("--max-steps", "1", "--device", "cpu"),
    ),
    "evaluate": ("evaluate", "{file}", "--checkpoint", "{checkpoint}"),
    "models list": ("models", "list"),
    "models info": ("models", "info", "{checkpoint}"),
    "models verify": ("models", "verify", "{checkpoint}"),
    "data list": ("data", "list"),
    "data info": ("data", "info", "maestro-v3"),
    "data verify": ("data", "verify", "{file}"),
    "data download": ("data", "download", "maestro-v3", "-o", "{output}"),
    "--help": ("--help",),
}
"""Every command; a new one is one row."""

WRITERS = (
    *("continue", "compose", "infill", "replay", "duet", "render", "view -o", "preprocess"),
    "train",
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """One odd place, as one row of the table.

    Attributes:
        file: name of the input, in bytes.
        output: name of the output, without suffix, in bytes.
        options: for `Commands.start`.
        codes: how the commands that write may end here.
        prepare: makes the place, from the folder; a context.
        is_fresh: whether only a fresh interpreter meets it.
    """

    file: bytes = b"music.mid"
    output: bytes = b"out"
    options: dict[str, Any] = field(default_factory=dict)
    codes: tuple[int, ...] = (0,)
    prepare: Callable[[Path], contextlib.AbstractContextManager[None]] | None = None
    is_fresh: bool = False


@contextlib.contextmanager
def _gone(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder)
    yield


@contextlib.contextmanager
def _a_file_in_the_way(folder: Path) -> Iterator[None]:
    (folder / "out").write_bytes(b"")
    yield


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """As nobody may write who is not root: a file system that is mounted for reading."""
    bind = ["mount", "--bind", str(folder), str(folder)]
    lock = ["mount", "-o", "remount,bind,ro", str(folder)]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    subprocess.run(lock, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


PLACES = {
    "a name with a newline": Surroundings(file=b"a\nb.mid", output=b"c\nd"),
    "a dash first": Surroundings(file=b"./-x.mid", output=b"./-y"),
    "not UTF-8": Surroundings(file=b"caf\xe9.mid", output=b"th\xe9"),
    "a name of 255 bytes": Surroundings(file=b"x" * 251 + b".mid", output=b"y" * 245),
    "a name too long": Surroundings(output=b"y" * 300, codes=(74,)),
    "an escape sequence": Surroundings(file=b"\x1b[31mred.mid", output=b"\x1b[0m"),
    "spaces and quotes": Surroundings(file=b" a 'b' \"c\" $d.mid", output=b" e;f "),
    "a bracketed name": Surroundings(file=b"[a-z]*?.mid", output=b"{{x}}"),
    "no HOME": Surroundings(options={"without": ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"]}),
    "a HOME that is not there": Surroundings(options={"environment": {"HOME": "/nowhere/at/all"}}),
    "a HOME that is a file": Surroundings(options={"environment": {"HOME": "/etc/passwd"}}),
    "a read-only folder": Surroundings(prepare=_read_only, codes=(74,)),
    "a file in the way of a folder": Surroundings(
        output=b"out/deep", prepare=_a_file_in_the_way, codes=(74,)
    ),
    "a deleted working folder": Surroundings(prepare=_gone, codes=(74,)),
    "closed standard input": Surroundings(options={"stdin": None}),
    "closed standard output": Surroundings(options={"stdout": None}, codes=(0, 74)),
    "closed standard error": Surroundings(options={"stderr": None}),
    "all streams closed": Surroundings(
        options={"stdin": None, "stdout": None, "stderr": None}, codes=(0, 74)
    ),
    "standard output full": Surroundings(options={"stdout": "/dev/full"}, codes=(0, 74)),
    "standard error full": Surroundings(options={"stderr": "/dev/full"}, codes=(0, 74)),
    "the network forbidden": Surroundings(
        options={"environment": {"PERCEIVER_MUSIC_OFFLINE": "1"}}
    ),
    "no file descriptors left": Surroundings(
        options={"limits": {"RLIMIT_NOFILE": 12}}, codes=(0, 69, 74)
    ),
    "a C locale": Surroundings(is_fresh=True, options={"environment": {"LC_ALL": "C"}}),
    "a C locale, not UTF-8": Surroundings(
        is_fresh=True,
        file=b"caf\xe9.mid",
        output=b"th\xe9",
        options={"environment": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}},
    ),
    "a reader that goes away": Surroundings(is_fresh=True, codes=(0, 141)),
}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Every command in every place, `size` pairs at most, drawn evenly."""
    pairs = [(place, command) for place in PLACES for command in COMMANDS]
    step = max(1, len(pairs) // size)
    if step > 1 and step % 3 == 0:
        step += 1  # not always the same commands
    for place, command in pairs[::step]:
        why = _try(workshop, PLACES[place], command)
        ledger.enter(why is None, f"{command}, {place}", why)
    ledger.notes["places"] = len(PLACES)
    ledger.notes["commands"] = len(COMMANDS)


def _try(workshop: Workshop, place: Surroundings, command: str) -> str | None:
    """What is not as documented, or None."""
    surroundings = workshop.fresh("surroundings")
    folder = surroundings / "here"
    folder.mkdir()
    source = workshop.made if command.startswith(("replay", "duet")) else workshop.primer
    shutil.copy(source, os.path.join(os.fsencode(folder), place.file))  # noqa: PTH118
    fields = {"file": os.fsdecode(place.file), "output": os.fsdecode(place.output)}
    words = workshop.words(COMMANDS[command], **fields)
    # The network is not ours to test: downloads are forbidden everywhere.
    offline = {"PERCEIVER_MUSIC_OFFLINE": "1"}
    options = {**place.options}
    options["environment"] = {**options.get("environment", {}), **offline}
    prepared = place.prepare(folder) if place.prepare is not None else contextlib.nullcontext()
    if place.prepare is _gone and not place.is_fresh:
        options["setup"] = f"{__name__}:delete_working_folder"
        prepared = contextlib.nullcontext()
    with prepared:
        if place.is_fresh:
            code, told = _fresh(words, folder, options["environment"], place)
        else:
            ended = workshop.commands.run(*words, folder=folder, **options)
            code, told = ended.code, ended.stderr
    if code not in DOCUMENTED or "Traceback" in told or "this is a bug" in told:
        return f"code {code}: {told[-300:]}"
    if command in WRITERS and code not in place.codes:
        return f"code {code}, not {place.codes}: {told[-300:]}"
    return None


def delete_working_folder() -> None:
    """In the process of the command: the folder that it works in is gone."""
    shutil.rmtree(Path.cwd())


def _fresh(
    words: list[str], folder: Path, environment: dict[str, str], place: Surroundings
) -> tuple[int, str]:
    """By a fresh interpreter, whose locale is its own; its reader leaves after a byte, or stays."""
    program = [sys.executable, "-m", "perceiver_music", *words]
    own = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", **environment}
    with subprocess.Popen(
        [os.fsencode(word) for word in program],
        cwd=folder,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        if 141 in place.codes:
            process.stdout.close()
            process.stdout = None
        _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr.decode(errors="replace")
