"""The scores: what is written on the page, in quarter notes, before anybody plays it.

A voice is a line of `PITCHES:LENGTH`, with `+` between the pitches of a chord and `r` for a rest;
without `:LENGTH` the last length goes on. All openings are in the public domain.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One line of a score.

    Attributes:
        text: the notes.
        loudness: MIDI velocity at rest; phrases, bars and chance move it.
        leads: the hand brings this line out: slightly early, and shaped by its contour.
        legato: sounding part of the written length.
    """

    text: str
    loudness: float
    leads: bool = False
    legato: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Score:
    """A piece as written, and how it wants to be played.

    Attributes:
        bar: quarter notes in a bar; `signature` says the same to MIDI.
        upbeat: quarter notes before the first bar line.
        phrases: lengths of phrases in quarter notes, the last one going on to the end.
        pedal: where the pedal changes, in quarter notes from the start.
        breath: how much a phrase slows at its end (0.3 takes 30 % of the tempo).
        swell: how much louder the middle of a phrase is, in MIDI velocity.
    """

    name: str
    title: str
    quarters_per_minute: float
    signature: tuple[int, int]
    bar: float
    voices: tuple[Voice, ...]
    phrases: tuple[float, ...]
    pedal: tuple[float, ...]
    upbeat: float = 0.0
    breath: float = 0.22
    swell: float = 13.0


def _every(step: float, until: float, start: float = 0.0) -> tuple[float, ...]:
    return tuple(start + step * i for i in range(round((until - start) / step)))


def _bach() -> Score:
    bars = """C4 E4 G4 C5 E5; C4 D4 A4 D5 F5; B3 D4 G4 D5 F5; C4 E4 G4 C5 E5; C4 E4 A4 E5 A5;
        C4 D4 F#4 A4 D5; B3 D4 G4 D5 G5; B3 C4 E4 G4 C5; A3 C4 E4 G4 C5; D3 A3 D4 F#4 C5;
        G3 B3 D4 G4 B4"""
    bass, tenor, upper = [], [], []
    for bar in bars.split(";"):
        a, b, c, d, e = bar.split()
        bass += [f"{a}:2"] * 2
        tenor += ["r:0.25", f"{b}:1.75"] * 2
        upper += ["r:0.5", *(f"{note}:0.25" for note in (c, d, e, c, d, e))] * 2
    return Score(
        name="bach_prelude_c_major",
        title="J. S. Bach: Prelude in C major, BWV 846, bars 1-11",
        quarters_per_minute=69,
        signature=(4, 4),
        bar=4,
        voices=(
            Voice(text=" ".join(bass), loudness=57),
            Voice(text=" ".join(tenor), loudness=49),
            Voice(text=" ".join(upper), loudness=56, leads=True, legato=0.95),
        ),
        phrases=(16, 12, 16),
        pedal=_every(4, 44),
        breath=0.16,
    )


def _beethoven_sonata() -> Score:
    triplets = """G#3 C#4 E4 x4; G#3 C#4 E4 x4; A3 C#4 E4 x2; A3 D4 F#4 x2;
        G#3 B#3 F#4 x1; G#3 C#4 E4 x1; G#3 C#4 D#4 x1; F#3 B#3 D#4 x1;
        E3 G#3 C#4 x1; G#3 C#4 E4 x3; G#3 D#4 F#4 x4; G#3 C#4 E4 x2; A3 C#4 F#4 x2;
        G#3 B3 E4 x2; A3 B3 D#4 x2; G#3 B3 E4 x4"""
    inner = []
    for group in triplets.split(";"):
        *notes, times = group.split()
        inner += [f"{note}:{1 / 3}" for note in notes] * int(times[1:])
    return Score(
        name="beethoven_moonlight",
        title="L. van Beethoven: Sonata in C sharp minor, op. 27 no. 2, Adagio, bars 1-9",
        quarters_per_minute=56,
        signature=(2, 2),
        bar=4,
        voices=(
            Voice(
                text="""C#2+C#3:4 B1+B2:4 A1+A2:2 F#1+F#2:2 G#1+G#2:2 G#1+G#2:2 C#2+G#2+C#3:4
                    B#1+G#2+B#2:4 C#2+C#3:2 F#1+F#2:2 B1+B2:2 B1+B2:2 E2+E3:4""",
                loudness=50,
            ),
            Voice(text=" ".join(inner), loudness=42),
            Voice(
                text="r:19 G#4:0.75 G#4:0.25 G#4:3 G#4:0.75 G#4:0.25 G#4:2 A4:2 "
                "G#4:2 F#4:1 B4:1 E4:4",
                loudness=64,
                leads=True,
                legato=1.02,
            ),
        ),
        phrases=(16, 20),
        pedal=(0, 4, 8, 10, 12, 13, 14, 15, 16, 20, 24, 26, 28, 30, 32),
        breath=0.2,
        swell=11.0,
    )


def _beethoven_bagatelle() -> Score:
    first = "E5:0.25 D#5 E5 D#5 E5 B4 D5 C5 A4:0.5 r:0.25 C4 E4 A4 B4:0.5 r:0.25 E4 G#4 B4"
    theme = f"{first} C5:0.5 r:0.25 E4 {first.replace('E4 G#4 B4', 'E4 C5 B4')} "
    second = "A4:0.5 r:0.25 B4 C5 D5 E5:0.75 G4:0.25 F5 E5 D5:0.75 F4:0.25 E5 D5"
    second += " C5:0.75 E4:0.25 D5 C5 B4:1.5"
    a, e = "A2:0.25 E3 A3 r:0.75", "E2:0.25 E3 G#3 r:0.75"
    left = f"r:2 {a} {e} {a} r:1.5 {a} {e} "
    return Score(
        name="beethoven_fuer_elise",
        title="L. van Beethoven: Bagatelle in A minor, WoO 59, bars 1-12, the first part twice",
        quarters_per_minute=66,
        signature=(3, 8),
        bar=1.5,
        upbeat=0.5,
        voices=(
            Voice(text=f"{theme} A4:1 {theme} {second}", loudness=60, leads=True),
            # After the first time the left hand rests through the upbeat and bar 1 again.
            Voice(
                text=f"{left} A2:0.25 E3 A3 r:0.25 {left} {a} C3:0.25 G3 C4 r:0.75 "
                f"G2:0.25 G3 B3 r:0.75 {a} E2:0.25 E3 G#3:1",
                loudness=47,
            ),
        ),
        phrases=(6.5, 6, 6, 6, 6),
        pedal=_every(1.5, 31, 0.5),
        breath=0.25,
        swell=12.0,
    )


def _mozart() -> Score:
    def alberti(*bars: str) -> str:
        return " ".join(" ".join(f"{bar.split()[i]}:0.5" for i in (0, 2, 1, 2)) for bar in bars)

    tonic = "C4 E4 G4"
    scales = """A4:0.5 B4:0.25 C5 D5 E5 F5 G5 A5 G5 F5 E5 D5 C5 B4 A4
        G4:0.5 A4:0.25 B4 C5 D5 E5 F5 G5 F5 E5 D5 C5 B4 A4 G4
        F4:0.5 G4:0.25 A4 B4 C5 D5 E5 F5 E5 D5 C5 B4 A4 G4 F4
        E4:0.5 F4:0.25 G4 A4 B4 C5 D5 E5 D5 C5 B4 A4 G4 F4 E4
        D4:0.5 E4:0.25 F4 G4 A4 B4 C#5 D5 A4 B4 C#5 D5 E5 F5 G5
        A5 B5 C6 B5 A5 G5 F5 E5 F5 G5 A5 G5 F5 E5 D5 C5"""
    return Score(
        name="mozart_sonata_c_major",
        title="W. A. Mozart: Sonata in C major, K. 545, Allegro, bars 1-12",
        quarters_per_minute=126,
        signature=(4, 4),
        bar=4,
        voices=(
            Voice(
                text=f"""C5:2 E5:1 G5 B4:1.5 C5:0.25 D5 C5:1 r A5:2 G5:1 C6
                    G5:1 G5:0.125 F5 G5 F5 E5:0.25 F5 E5:1 r {scales}
                    B4:0.5 G5 E5 C5 D5 G5 E5 C5 D5:1 G5+B4 G4 r""",
                loudness=66,
                leads=True,
                legato=0.9,
            ),
            Voice(
                text=alberti(tonic, tonic, "D4 F4 G4", tonic, "C4 F4 A4", tonic, "B3 D4 G4", tonic)
                + """ F3+A3:1 r:3 E3+G3:1 r:3 D3+F3:1 r:3 C3+E3:1 r:3 D3+F3:1 r:3 F3+A3:1 r:3
                    G3:0.5 B3 C4 E4 G3 B3 C4 E4 G3+B3:1 G2+G3 G2 r""",
                loudness=49,
                legato=0.85,
            ),
        ),
        phrases=(8, 8, 16, 16),
        pedal=(*_every(2, 16), 16, 20, 24, 28, 32, 36, 40, 44, 45, 46),
        breath=0.12,
        swell=11.0,
    )


def _satie() -> Score:
    g_bar, d_bar = ("G2:3", "r:1 B3+D4+F#4:2"), ("D2:3", "r:1 A3+C#4+F#4:2")
    return Score(
        name="satie_gymnopedie_1",
        title="E. Satie: Gymnopédie no. 1, bars 1-16",
        quarters_per_minute=76,
        signature=(3, 4),
        bar=3,
        voices=(
            Voice(text=" ".join([g_bar[0], d_bar[0]] * 8), loudness=50),
            Voice(text=" ".join([g_bar[1], d_bar[1]] * 8), loudness=40),
            Voice(
                text="""r:13 F#5:1 A5 G5 F#5 C#5 B4 C#5 D5 A4:3 F#4:12
                    r:1 F#5:1 A5 G5 F#5 C#5 B4 C#5 D5 A4:3""",
                loudness=63,
                leads=True,
                legato=1.02,
            ),
        ),
        phrases=(12, 12, 12, 12),
        pedal=_every(3, 48),
        breath=0.14,
        swell=9.0,
    )


SCORES = (_bach(), _beethoven_sonata(), _beethoven_bagatelle(), _mozart(), _satie())
