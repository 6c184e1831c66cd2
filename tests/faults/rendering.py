"""Promise 13: rendering is bounded, and a damaged SoundFont takes only the synthesizer with it."""

from __future__ import annotations

import random
import struct

from tests.faults.bombs import BOMBS
from tests.faults.commands import Ended
from tests.faults.ledger import Ledger
from tests.faults.midi_mutants import END_OF_TRACK, midi_file
from tests.faults.workshop import Workshop

TAIL_SECONDS = 30
FROM_A_REAL_FONT = 10
"""One of so many mutants is of the font that pretty_midi brings, the others of a tiny one."""
CHORD = b"".join(b"\x00\x90" + bytes([pitch, 90]) for pitch in (48, 60, 72))
CHORD_END = b"\x60\x80\x30\x00" + b"\x00\x80\x3c\x00\x00\x80\x48\x00"

LOUD = ("stacked notes and their ends", "the slowest tempo", "60,000 tracks")
"""Bombs of MIDI that are not refused by their length before anything sounds."""


def examine(ledger: Ledger, size: int, workshop: Workshop) -> None:
    """`size` mutated SoundFonts by the real command, then the bombs of promise 11."""
    folder = workshop.fresh("rendering")
    music, font, sound = folder / "music.mid", folder / "font.sf2", folder / "sound.wav"
    music.write_bytes(midi_file(CHORD + CHORD_END + END_OF_TRACK))
    words = ["render", str(music), "--soundfont", str(font), "--force", "-o", str(sound), "--json"]
    for number in range(size):
        rng = random.Random(number)
        real = _real_font() if number % FROM_A_REAL_FONT == FROM_A_REAL_FONT - 1 else None
        font.write_bytes(mutated(rng, real or tiny_soundfont()))
        ended = workshop.commands.run(*words, folder=folder, patience=100)
        ledger.count("broken down", int("breaks down" in ended.stderr))
        ledger.count("played", int(ended.code == 0))
        ledger.enter(not (why := _judge(ended)), f"SoundFont {number}", why)
    font.write_bytes(tiny_soundfont())
    ended = workshop.commands.run(*words, folder=folder)
    ledger.enter(ended.code == 0 and ended.objects[0]["peak_dbfs"] is not None, "whole", ended)
    for name in LOUD[: max(1, size // 20)]:
        music.write_bytes(BOMBS[name]())
        limits = {"RLIMIT_FSIZE": 1 << 30}
        limited = [*words, "--sample-rate", "32000"]
        ended = workshop.commands.run(*limited, folder=folder, limits=limits, patience=300)
        # Six hours of sound are more than a gigabyte: refused by the limit, in the usual way.
        is_bounded = ended.code == 74 if name == "the slowest tempo" else not _judge(ended)
        ledger.enter(is_bounded and ended.is_clean, f"the bomb {name}", ended)


def _judge(ended: Ended) -> str | None:
    if ended.code == 0:
        said = ended.objects[0]
        tail = said["seconds"] - 0.5
        return None if tail <= TAIL_SECONDS else f"{said['seconds']} s of sound"
    is_told = ended.code == 65 and ended.is_clean and "hint:" in ended.stderr
    return None if is_told else str(ended)


def _real_font() -> bytes | None:
    from perceiver_music.audio.soundfonts import default_candidates

    fonts = [path for path in default_candidates() if path.name == "TimGM6mb.sf2"]
    return next((font.read_bytes() for font in fonts if font.exists()), None)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _list(kind: bytes, *chunks: bytes) -> bytes:
    return _chunk(b"LIST", kind + b"".join(chunks))


def tiny_soundfont() -> bytes:
    """One preset, one instrument, one sample of a square wave (SoundFont 2.04, sections 4 to 7)."""
    wave = struct.pack("<128h", *([9000] * 32 + [-9000] * 32) * 2) + bytes(92)
    info = _list(
        b"INFO",
        _chunk(b"ifil", struct.pack("<HH", 2, 4)),
        _chunk(b"isng", b"EMU8000\0"),
        _chunk(b"INAM", b"tiny\0\0"),
    )
    presets = [(b"piano", 0, 0, 0), (b"EOP", 0, 0, 1)]
    phdr = b"".join(struct.pack("<20sHHHIII", *preset, 0, 0, 0) for preset in presets)
    sample = struct.pack("<20sIIIIIBbHH", b"square", 0, 128, 0, 64, 44_100, 60, 0, 0, 1)
    pdta = _list(
        b"pdta",
        _chunk(b"phdr", phdr),
        _chunk(b"pbag", struct.pack("<4H", 0, 0, 1, 0)),
        _chunk(b"pmod", bytes(10)),
        _chunk(b"pgen", struct.pack("<4H", 41, 0, 0, 0)),
        _chunk(b"inst", struct.pack("<20sH20sH", b"piano", 0, b"EOI", 1)),
        _chunk(b"ibag", struct.pack("<4H", 0, 0, 2, 0)),
        _chunk(b"imod", bytes(10)),
        _chunk(b"igen", struct.pack("<6H", 54, 1, 53, 0, 0, 0)),
        _chunk(b"shdr", sample + struct.pack("<20s26x", b"EOS")),
    )
    return _chunk(b"RIFF", b"sfbk" + info + _list(b"sdta", _chunk(b"smpl", wave)) + pdta)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Fields of the tables at a font's end changed, sizes of chunks too, sometimes a cut."""
    changed = bytearray(data)
    tables = data.index(b"pdta")
    marks = [place for place in range(tables, len(data) - 8) if data[place : place + 4] in _MARKS]
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        kind = rng.random()
        if kind < 0.15 and marks:
            place = rng.choice(marks) + 4
            size = rng.choice((0, 1, 37, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(500)))
            changed[place : place + 4] = struct.pack("<I", size)
        elif kind < 0.9:
            place = rng.randrange(tables, len(data) - 4)
            value = rng.choice((b"\xff\xff", b"\x00\x80", b"\x00\x00", rng.randbytes(2)))
            changed[place : place + 2] = value
        else:
            changed[rng.randrange(12, tables)] ^= 1 << rng.randrange(8)
    if rng.random() < 0.1:
        del changed[rng.randrange(12, len(changed)) :]
        changed[4:8] = struct.pack("<I", len(changed) - 8)
    return bytes(changed)


_MARKS = (b"phdr", b"pbag", b"pmod", b"pgen", b"inst", b"ibag", b"imod", b"igen", b"shdr")
