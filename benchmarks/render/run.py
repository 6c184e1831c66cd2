"""Render whole pieces of MAESTRO to WAV, against real time and against the synthesizer alone."""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import made_with
from perceiver_music.audio.fluidsynth_engine import SynthesisOptions, synthesize
from perceiver_music.audio.fluidsynth_library import load_fluidsynth
from perceiver_music.audio.sound_events import sound_events
from perceiver_music.audio.soundfonts import find_soundfont
from perceiver_music.jobs.render import RenderRequest, RenderResult, run
from perceiver_music.music.midi_file import read_midi

RESULTS = Path(__file__).with_name("results.json")
NUM_PIECES, SAMPLE_RATE = 5, 44_100


def some_pieces(folder: Path) -> list[Path]:
    """Pieces spread evenly over the validation split, in the order of the official list."""
    (listing,) = folder.glob("maestro-v?.?.?.csv")
    with listing.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = [row["midi_filename"] for row in rows if row["split"] == "validation"]
    chosen = np.linspace(0, len(names) - 1, NUM_PIECES).round().astype(int)
    return [folder / names[index] for index in chosen]


def processor_seconds() -> float:
    """Of all threads, and of the processes that ended: the synthesizer has one of its own."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """What a piece of work takes of the processor, and what came out."""
    started = processor_seconds()
    outcome = work()
    return processor_seconds() - started, outcome


def synthesizer_alone(path: Path) -> int:
    """Plays a piece into nothing; returns the number of frames."""
    midi = read_midi(path)
    blocks = synthesize(
        sound_events(midi.performance.notes, midi.controls),
        library=load_fluidsynth(None),
        soundfont=find_soundfont(None),
        options=SynthesisOptions(sample_rate=SAMPLE_RATE, reverb=True),
    )
    return sum(len(block) for block in blocks)


def render_piece(path: Path, folder: Path) -> dict[str, Any]:
    """One piece, described."""
    request = RenderRequest(midi=path, input_name=path.name, output=folder / f"{path.stem}.wav")
    whole, result = cpu_seconds(lambda: run(request))
    alone, _ = cpu_seconds(lambda: synthesizer_alone(path))
    assert isinstance(result, RenderResult)
    return {
        "piece": path.name,
        "seconds": round(result.seconds, 2),
        "cpu_seconds": round(whole, 3),
        "synthesizer_cpu_seconds": round(alone, 3),
        "times_real_time": round(result.seconds / whole, 1),
        "synthesizer": result.synthesizer,
        "soundfont": Path(result.soundfont).name,
    }


def main() -> None:
    """Render, measure, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="MAESTRO v3, unpacked")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in some_pieces(arguments.folder):
            rows.append(render_piece(path, Path(folder)))
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
    whole_over_synthesizer = [row["cpu_seconds"] / row["synthesizer_cpu_seconds"] for row in rows]
    results = {
        "times_real_time": statistics.median(row["times_real_time"] for row in rows),
        "whole_over_synthesizer": round(statistics.median(whole_over_synthesizer), 2),
        "rows": rows,
        "made_with": made_with("pygame-ce", "pretty-midi", "soundfile"),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
