"""Promise 11: work is linear in the input, whatever the input claims."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from perceiver_music.errors import InvalidInputError
from perceiver_music.music.midi_chunks import MAX_FILE_BYTES
from perceiver_music.music.midi_file import MidiFile, parse_midi
from perceiver_music.music.tempo_map import MAX_MUSIC_US
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import encode
from tests.faults.ledger import Ledger
from tests.faults.midi_mutants import END_OF_TRACK, midi_file, variable_length
from tests.faults.workshop import Workshop

EVENTS_PER_BYTE = 8
SECONDS_PER_MEGABYTE = 2.0
LEAST_SECONDS = 0.25
"""What a file of a few bytes may take: the clock and the machine are not exact."""
YARDSTICK_SECONDS = 0.01
"""What `_yardstick` takes where the promise was made; a slower machine gets more, in proportion."""
MOST_BYTES = 512 << 20

NOTE, END = b"\x00\x90\x3c\x40", b"\x01\x80\x3c\x40"
SLOWEST = b"\x00\xff\x51\x03\xff\xff\xff"
MEGABYTE = 1 << 20
FULL = MAX_FILE_BYTES - 1000

BOMBS: dict[str, Callable[[], bytes]] = {
    "a megabyte of 0xFF": lambda: midi_file(b"\xff" * MEGABYTE),
    "one maximal delta time": lambda: midi_file(
        NOTE + variable_length(0x0FFFFFFF) + END[1:] + END_OF_TRACK
    ),
    "the slowest tempo": lambda: midi_file(
        SLOWEST + NOTE + variable_length(1280) + END[1:] + END_OF_TRACK, division=1
    ),
    "longer at the slowest tempo": lambda: midi_file(
        SLOWEST + NOTE + variable_length(0x3FFF) + END[1:] + END_OF_TRACK, division=1
    ),
    "stacked notes": lambda: midi_file(NOTE * 30_000 + END_OF_TRACK),
    "stacked notes and their ends": lambda: midi_file(NOTE * 15_000 + END * 15_000),
    "no division": lambda: midi_file(NOTE + END + END_OF_TRACK, division=0),
    "no frames a second": lambda: midi_file(NOTE + END, division=0x8000),
    "60,000 tracks": lambda: midi_file(*[NOTE + END] * 60_000),
    "60,000 pieces": lambda: midi_file(*[NOTE + END] * 60_000, midi_format=2),
    "tracks that end far away": lambda: midi_file() + b"MTrk\xff\xff\xff\xff" * 100_000,
    "tracks of nothing": lambda: midi_file(*[b""] * 60_000),
    "a change of tempo each tick": lambda: midi_file(b"\x01\xff\x51\x03\x07\xa1\x20" * 150_000),
    "texts of nothing": lambda: midi_file(b"\x00\xff\x01\x00" * 190_000),
    "exclusive messages of nothing": lambda: midi_file(b"\x00\xf0\x00" * 300_000),
    "programs": lambda: midi_file(b"\x00\xc0\x01" * 300_000),
    "pedals of sixteen channels": lambda: midi_file(
        b"".join(b"\x01" + bytes([0xB0 | n % 16, 0x40, 0x7F]) for n in range(200_000))
    ),
    "the largest file of notes": lambda: midi_file((NOTE + END) * (FULL // 8)),
    "the largest file by running status": lambda: midi_file(
        NOTE + b"\x01\x3c\x00\x00\x3c\x40" * (FULL // 6)
    ),
    "the largest file of texts": lambda: midi_file(b"\x00\xff\x01\x00" * (FULL // 4)),
    "the largest file of tempi": lambda: midi_file(b"\x01\xff\x51\x03\x07\xa1\x20" * (FULL // 7)),
    "a byte more than the largest": lambda: bytes(MAX_FILE_BYTES + 1),
}


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """Each bomb in a fork of a process that has imported little."""
    names = list(BOMBS)[:size]
    found = workshop.apart(f"{__name__}:read_bombs", names, seconds=240)
    for name in names:
        said = found.get(name, found)
        ledger.enter("outcome" in said and not said["wrong"], name, said)
        ledger.most("peak_megabytes", said.get("peak_megabytes", 0))
        ledger.most("seconds_per_megabyte", said.get("seconds_per_megabyte", 0.0))


def read_bombs(names: list[str]) -> dict[str, Any]:
    """What each costs, read by a process of its own."""
    return {name: _in_a_fork(name, BOMBS[name]()) for name in names}


def _in_a_fork(name: str, data: bytes) -> dict[str, Any]:
    outcome, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os.write(report, json.dumps(read_bomb(name, data)).encode())
        os._exit(0)
    os.close(report)
    with os.fdopen(outcome, "rb") as stream:
        said = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return json.loads(said) if code == 0 else {"died": code}


def read_bomb(name: str, data: bytes) -> dict[str, Any]:
    """What reading and encoding a bomb costs, and what is wrong with that."""
    started = time.process_time()
    outcome, wrong = "refused", []
    try:
        midi = parse_midi(data, name=name)
        ids = encode(midi.performance)
        outcome = f"{midi.performance.num_notes} notes, {len(ids)} events"
        if not fits_its_bytes(data, midi, ids):
            wrong.append("more events than its bytes allow")
        wrong += _too_long(midi)
    except InvalidInputError as error:
        outcome = str(error)
    seconds = time.process_time() - started
    most = LEAST_SECONDS + SECONDS_PER_MEGABYTE * len(data) / MEGABYTE
    if seconds > most and seconds > most * _yardstick() / YARDSTICK_SECONDS:
        wrong.append(f"{seconds:.2f} s for {len(data)} bytes")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (sys.platform != "darwin") * 10
    if peak > MOST_BYTES:
        wrong.append(f"{peak >> 20} MiB")
    return {
        "outcome": outcome,
        "wrong": wrong,
        "seconds_per_megabyte": round(seconds / max(len(data) / MEGABYTE, 1.0), 2),
        "peak_megabytes": peak >> 20,
    }


def _yardstick() -> float:
    """Seconds that plain work takes here and now."""
    started = time.process_time()
    sum(number * number for number in range(200_000))
    return time.process_time() - started


def fits_its_bytes(data: bytes, midi: MidiFile, ids: npt.NDArray[np.uint16]) -> bool:
    """Whether the events are at most eight a byte, full seconds of silence not counted.

    A second of silence is one event whatever wrote it, and there are at most six hours of them.
    """
    num_silent = int((ids == v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1).sum())
    num_seconds = midi.performance.seconds + 1
    return num_silent <= num_seconds and len(ids) - num_silent <= EVENTS_PER_BYTE * len(data)


def _too_long(midi: MidiFile) -> Iterator[str]:
    if midi.performance.seconds * 1e6 > MAX_MUSIC_US:
        yield "more than six hours"
