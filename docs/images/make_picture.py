"""Draw a MIDI file as a piano roll in SVG: the primer in one colour, what was added in another.

python docs/images/make_picture.py FILE.mid SECONDS_OF_PRIMER OUT.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from perceiver_music.music.midi_file import read_midi

WIDTH, HEIGHT, MARGIN = 960, 260, 16
PRIMER_COLOUR, NEW_COLOUR, PAPER, GRID = "#1f4e79", "#d1495b", "#fbfaf7", "#e4e0d8"


def piano_roll(path: Path, primer_seconds: float) -> str:
    """The picture as SVG text."""
    notes = read_midi(path).performance.notes
    end = float(notes["end_us"].max()) / 1e6
    lowest, highest = int(notes["pitch"].min()) - 1, int(notes["pitch"].max()) + 1
    per_second = (WIDTH - 2 * MARGIN) / end
    per_pitch = (HEIGHT - 2 * MARGIN) / (highest - lowest + 1)
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Piano roll: {primer_seconds:g} seconds of a primer and its continuation">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
    ]
    for second in range(0, int(end) + 1, 10):
        x = MARGIN + second * per_second
        rows.append(f'<path d="M{x:.1f} {MARGIN}V{HEIGHT - MARGIN}" stroke="{GRID}"/>')
    for note in notes:
        start = float(note["start_us"]) / 1e6
        length = max(0.03, float(note["end_us"]) / 1e6 - start)
        colour = PRIMER_COLOUR if start < primer_seconds - 0.001 else NEW_COLOUR
        x = MARGIN + start * per_second
        y = MARGIN + (highest - int(note["pitch"])) * per_pitch
        opacity = 0.35 + 0.65 * int(note["velocity"]) / 127
        rows.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(1.2, length * per_second):.1f}" '
            f'height="{max(1.5, per_pitch * 0.85):.1f}" rx="1" fill="{colour}" '
            f'fill-opacity="{opacity:.2f}"/>'
        )
    return "\n".join([*rows, "</svg>"]) + "\n"


if __name__ == "__main__":
    source, seconds, target = sys.argv[1:]
    Path(target).write_text(piano_roll(Path(source), float(seconds)))
