"""Promise 8: no file runs code, and a hostile checkpoint costs neither time nor memory."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceiver_music.files import sha256_of_file
from perceiver_music.jobs.passages import INDEX_FILE
from perceiver_music.model.checkpoint_description import identity_of
from perceiver_music.music.embedded import find_embedded, with_embedded, without_embedded
from perceiver_music.sealed_json import sealed, unsealed
from tests.faults.hostile_indexes import INDEXES
from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop

MOST_CPU_SECONDS = 1.0
MOST_BYTES = 100 << 20
EVENTS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
EVENTS += ("socket.connect", "ctypes.dlopen", "shutil.unpack_archive")
"""What opening a file has no business to do (`sys.audit`)."""

OUR_OWN = f"perceiver_music{os.sep}model{os.sep}native"
"""The compiled decoder, which comes with the program."""

COMMANDS = (
    ("models", "verify", "{file}"),
    ("models", "info", "{file}"),
    ("continue", "{primer}", "--checkpoint", "{file}", "--length", "4", "-o", "-"),
    ("evaluate", "{primer}", "--checkpoint", "{file}"),
    ("infill", "{primer}", "--between", "1", "2", "--checkpoint", "{file}", "-o", "-"),
    ("compose", "--checkpoint", "{file}", "--length", "4", "-o", "-"),
    ("replay", "{made}", "--checkpoint", "{file}", "--check"),
    ("check", "{primer}", "--checkpoint", "{file}"),
    ("duet", "--midi-file", "{short}", "--checkpoint", "{file}", "--length", "1s"),
    ("bench", "--checkpoint", "{file}", "--rounds", "1"),
    ("train", "--data", "{store}", "--init", "{file}", "--output", "{folder}/run"),
)
"""Every command that opens a checkpoint."""
DESCRIBES = ("info", "check")
"""They open no weights (`check` the index beside them): what is hostile there they may describe."""
HONEST = (
    *(words for words in COMMANDS if words[0] not in ("train", "bench")),
    ("evaluate", "--data", "{store}", "--checkpoint", "{file}"),
)
"""`bench` starts the program itself, which is heard; `train` takes its time."""


class _Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch /tmp/perceiver-music-was-here",)


def _header(tensors: dict[str, Any], data: bytes = b"", size: int | None = None) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def _tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "a pickle": lambda whole: pickle.dumps(_Bomb()),
    "a pickle behind a header": lambda whole: whole + pickle.dumps(_Bomb()),
    "a zip of a pickle": lambda whole: b"PK\3\4" + pickle.dumps(_Bomb()),
    "nothing": lambda whole: b"",
    "a header larger than the file": lambda whole: struct.pack("<Q", 2**62) + whole[8:],
    "a header of a hundred megabytes": lambda whole: struct.pack("<Q", 100 << 20) + whole[8:],
    "a negative header": lambda whole: b"\xff" * 8 + whole[8:],
    "no JSON": lambda whole: struct.pack("<Q", 4) + b"{{{{",
    "deep JSON": lambda whole: struct.pack("<Q", 200_000) + b"[" * 200_000,
    "overlapping tensors": lambda whole: _header(
        {"a": _tensor("F32", [2], 0, 8), "b": _tensor("F32", [2], 4, 12)}, bytes(12)
    ),
    "a hole": lambda whole: _header(
        {"a": _tensor("F32", [1], 0, 4), "b": _tensor("F32", [1], 8, 12)}, bytes(12)
    ),
    "offsets beyond the file": lambda whole: _header({"a": _tensor("F32", [2], 0, 2**40)}),
    "offsets backwards": lambda whole: _header({"a": _tensor("F32", [2], 8, 0)}, bytes(8)),
    "a shape that overflows": lambda whole: _header({"a": _tensor("F32", [2**33, 2**33], 0, 8)}),
    "a negative shape": lambda whole: _header({"a": _tensor("F32", [-2], 0, 8)}, bytes(8)),
    "an unknown type": lambda whole: _header({"a": _tensor("PICKLE", [8], 0, 8)}, bytes(8)),
    "a tensor too few": lambda whole: _header(
        {"output.weight": _tensor("F32", [1], 0, 4)}, b"abcd"
    ),
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
    "bytes behind the end": lambda whole: whole + bytes(100),
}
"""Weights of another kind, with a description that vouches for their checksum."""

HUGE = 10**9
FIELDS: dict[str, dict[str, Any]] = {
    "a wide network": {"config": {"block": {"width": HUGE}}},
    "a deep network": {"config": {"num_layers": HUGE}},
    "a huge vocabulary": {"config": {"vocabulary_size": HUGE}},
    "a wrong shape": {"config": {"block": {"width": 32}}},
    "an unknown key": {"config": {"__class__": "os.system"}},
    "a missing key": {"config": None},
    "an unknown architecture": {"architecture": "os.system"},
    "a context of nothing": {"config": {"context": 0}},
    "a negative context": {"config": {"context": -1}},
    "a context of text": {"config": {"context": "x"}},
    "a width that is no number": {"config": {"block": {"width": None}}},
    "heads that do not fit": {"config": {"block": {"num_heads": 7}}},
    "a list for a configuration": {"config": []},
    "a name that is none": {"name": 3},
    "files elsewhere": {"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}},
    "files that are none": {"files": {"model.safetensors": 3}},
    "another vocabulary": {"tokenizer": {"name": "x", "fingerprint": "y"}},
    "another format": {"format": "perceiver-music-checkpoint/9"},
}
"""Descriptions that lie, with a seal that is right."""

TEXTS: dict[str, Callable[[], bytes]] = {
    "no description": lambda: b"",
    "a pickled description": lambda: pickle.dumps({"format": 1}),
    "a description of a hundred megabytes": lambda: b" " * (100 << 20) + b"{}",
    "a deep description": lambda: b"[" * 500_000,
}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """The hostile checkpoints through every command that opens one, `size` pairs at most."""
    marker = Path("/tmp/perceiver-music-was-here")
    marker.unlink(missing_ok=True)
    hostile = [*WEIGHTS, *FIELDS, *TEXTS]
    ledger.notes["hostile checkpoints"] = len(hostile)
    ledger.notes["hostile indexes"] = len(INDEXES)
    pairs = [(name, words) for words in COMMANDS for name in hostile]
    pairs += [(name, words) for words in COMMANDS if words[0] == "check" for name in INDEXES]
    step = max(1, len(pairs) // size)
    for name, template in pairs[::step]:
        folder = workshop.fresh("hostile")
        file = plant(name, workshop.checkpoint, folder / "model")
        fields = {"file": file, "made": _made_by(file, workshop, folder)}
        words = workshop.words(template, folder=folder, short=workshop.short, **fields)
        log = folder / "audit"
        ended = workshop.commands.run(
            *words, folder=folder, setup=f"{__name__}:listen", setup_arguments=(str(log),)
        )
        heard = log.read_text() if log.exists() else ""
        may_describe = name not in INDEXES and any(word in DESCRIBES for word in words)
        is_refused = ended.code == 65 or (ended.code == 0 and may_describe)
        why = None if is_refused and ended.is_clean else str(ended)
        why = why or (heard and f"heard {heard}") or (marker.exists() and "code was run") or None
        if why is None and ended.cpu_seconds > MOST_CPU_SECONDS:
            why = f"{ended.cpu_seconds:.2f} s of CPU"
        grown = ended.peak_bytes - workshop.idle_bytes
        if why is None and grown > MOST_BYTES:
            why = f"{grown >> 20} MiB more than an idle command"
        ledger.most("most CPU seconds", round(ended.cpu_seconds, 2))
        ledger.enter(why is None, f"{' '.join(words[:2])}: {name}", why)
    _honest_files(ledger, workshop)


def _honest_files(ledger: Ledger, workshop: Workshop) -> None:
    """The same ears on honest files: nothing is heard there either."""
    for template in HONEST:
        folder = workshop.fresh("hostile")
        fields = {"file": workshop.checkpoint, "short": workshop.short}
        words = workshop.words(template, folder=folder, **fields)
        log = folder / "audit"
        ended = workshop.commands.run(
            *words, folder=folder, setup=f"{__name__}:listen", setup_arguments=(str(log),)
        )
        heard = log.read_text() if log.exists() else ""
        ledger.enter(ended.code == 0 and not heard, " ".join(words[:2]), f"{heard} {ended}")


def _made_by(file: Path, workshop: Workshop, folder: Path) -> Path:
    """A file to replay that says it was made by a hostile checkpoint, where that has a checksum."""
    made = workshop.made.read_bytes()
    found = find_embedded(made, name="made")
    assert found is not None
    settings = json.loads(found.settings)
    try:
        fields = unsealed(json.loads((file / "checkpoint.json").read_bytes()))
        settings["checkpoint_sha256"] = identity_of(fields)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    path = folder / "made.mid"
    changed = replace(found, settings=json.dumps(settings, sort_keys=True))
    path.write_bytes(with_embedded(without_embedded(made), changed))
    return path


def plant(name: str, honest: Path, path: Path) -> Path:
    """A copy of an honest checkpoint at `path`, with what is hostile of that name in it."""
    shutil.copytree(honest, path)
    description, weights = path / "checkpoint.json", path / "model.safetensors"
    fields = unsealed(json.loads(description.read_bytes()))
    if name in WEIGHTS:
        weights.write_bytes(WEIGHTS[name](weights.read_bytes()))
        entry = {"bytes": weights.stat().st_size, "sha256": sha256_of_file(weights)}
        fields["files"]["model.safetensors"] = entry
        description.write_bytes(sealed(fields))
    elif name in INDEXES:
        index = path / INDEX_FILE
        index.write_bytes(INDEXES[name](index.read_bytes()))
        entry = {"bytes": index.stat().st_size, "sha256": sha256_of_file(index)}
        fields["files"][INDEX_FILE] = entry
        description.write_bytes(sealed(fields))
    elif name in FIELDS:
        description.write_bytes(sealed(_changed(fields, FIELDS[name])))
    else:
        description.write_bytes(TEXTS[name]())
    return path


def _changed(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(fields)
    for key, value in changes.items():
        is_section = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _changed(result[key], value) if is_section else value
    return result


def listen(log: str) -> None:
    """In the process of the command: write down what it should not do."""
    import sys

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        is_our_own = event == "ctypes.dlopen" and OUR_OWN in str(arguments[:1])
        if event in EVENTS and not is_our_own:
            with Path(log).open("a") as stream:
                stream.write(f"{event} {arguments}\n")

    sys.addaudithook(hear)
