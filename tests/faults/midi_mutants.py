"""MIDI files that are almost right: built event by event, with lies at every level."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

END_OF_TRACK = b"\x00\xff\x2f\x00"
LARGE = (0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0x0FFFFFFF)
STATUSES = (0x80, 0x90, 0x90, 0x90, 0xA0, 0xB0, 0xB0, 0xC0, 0xD0, 0xE0)
META_KINDS = (0x00, 0x01, 0x03, 0x20, 0x21, 0x2F, 0x51, 0x51, 0x51, 0x54, 0x58, 0x59, 0x7F, 0x60)
TEMPI = (b"\x00\x00\x00", b"\x00\x00\x01", b"\x07\xa1\x20", b"\xff\xff\xff", b"\x01", b"")
DIVISIONS = (0, 1, 24, 96, 384, 480, 960, 0x7FFF, 0x8000, 0xE728, 0xE200, 0xE350, 0xE878, 0xFFFF)


def variable_length(value: int) -> bytes:
    """A number as MIDI writes it."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def midi_file(*tracks: bytes, division: int = 480, midi_format: int | None = None) -> bytes:
    """An honest header and chunks around the tracks' bytes."""
    kind = (len(tracks) > 1) if midi_format is None else midi_format
    header = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks) & 0xFFFF, division)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def mutant(rng: random.Random, seeds: Sequence[bytes] = ()) -> bytes:
    """One file; one in five is a changed copy of a seed, if there are any."""
    if seeds and rng.random() < 0.2:
        return damaged(rng, rng.choice(seeds), 1 + rng.randrange(8))
    tracks = b"".join(_track(rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3))))
    midi_format = rng.choice((0, 1, 1, 2, 3)) if rng.random() < 0.2 else 1
    division = rng.choice(DIVISIONS) if rng.random() < 0.3 else rng.choice((96, 384, 480))
    count = rng.choice((0, 1, 2, 0xFFFF))
    length = rng.choice((0, 5, 7, 0xFFFFFFFF)) if rng.random() < 0.05 else 6
    data = struct.pack(">4sIHHH", b"MThd", length, midi_format, count, division) + tracks
    if rng.random() < 0.05:
        data = b"RIFF" + struct.pack("<I", len(data)) + b"RMIDdata" + struct.pack("<I", 99) + data
    return damaged(rng, data, rng.randrange(4)) if rng.random() < 0.4 else data


def damaged(rng: random.Random, data: bytes, times: int) -> bytes:
    """Bytes changed, cut out, doubled, or cut off."""
    changed = bytearray(data)
    for _ in range(times):
        place, kind = rng.randrange(len(changed) + 1), rng.random()
        if kind < 0.5 and place < len(changed):
            changed[place] = rng.choice((0, 0x7F, 0x80, 0xFF, changed[place] ^ 1 << place % 8))
        elif kind < 0.65:
            del changed[place : place + 1 + rng.randrange(8)]
        elif kind < 0.85:
            changed[place:place] = changed[place : place + 1 + rng.randrange(64)]
        else:
            del changed[place:]
    return bytes(changed)


def _track(rng: random.Random) -> bytes:
    lies = rng.choice((0.0, 0.0, 0.01, 0.1, 0.5))
    events = b"".join(_event(rng, lies) for _ in range(rng.choice((0, 1, 4, 16, 64))))
    events += END_OF_TRACK if rng.random() < 0.9 else b""
    length = rng.choice((0, 1, len(events) + 1, 0x7FFFFFFF, 0xFFFFFFFF))
    length = length if rng.random() < 0.1 else len(events)
    name = rng.choice((b"MTrk", b"MTrk", b"XFIH", b"mtrk")) if rng.random() < 0.1 else b"MTrk"
    return name + struct.pack(">I", length) + events


def _event(rng: random.Random, lies: float) -> bytes:
    is_lie = rng.random() < lies
    delta = rng.choice(LARGE) if is_lie else rng.randrange(480)
    kind = rng.random()
    if kind < 0.8:
        status = rng.choice(STATUSES) | (rng.randrange(16) if rng.random() < 0.2 else 0)
        size = 1 if status & 0xE0 == 0xC0 else 2
        pitch = 60 + rng.randrange(4) if rng.random() < 0.7 else rng.randrange(128)
        data = bytes([pitch, rng.choice((0, 0, 64, rng.randrange(128)))])[:size]
        head = b"" if rng.random() < 0.3 else bytes([status])
        return variable_length(delta) + head + (rng.randbytes(size) if is_lie else data)
    if kind < 0.95:
        meta = rng.choice(META_KINDS)
        body = rng.choice(TEMPI) if meta == 0x51 else rng.randbytes(rng.choice((0, 1, 2, 4, 5)))
        length = rng.choice(LARGE) if is_lie else len(body)
        return variable_length(delta) + bytes([0xFF, meta]) + variable_length(length) + body
    body = rng.randbytes(rng.randrange(6))
    status = rng.choice((0xF0, 0xF7, 0xF1, 0xF2, 0xF3, 0xF4, 0xF6, 0xF8, 0xFE)) if is_lie else 0xF0
    return variable_length(delta) + bytes([status]) + variable_length(len(body)) + body
