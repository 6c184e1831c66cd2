"""Where new music after quantized files begins its notes, kept to their grid and left alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.going_on import goes_on
from benchmarks.intervals import as_fields, weighted_mean_interval
from benchmarks.openings import spread
from benchmarks.provenance import made_with
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.music.grid import Grid, grid_of
from perceiver_music.music.midi_file import MidiFile, read_midi
from perceiver_music.music.performance import MICROSECONDS

RESULTS = Path(__file__).with_name("results.json")
PRIMER_SECONDS, NEW_SECONDS = 40.0, 60.0
NEAR_SECONDS = 0.005
QUARTERS = 4
PLACES = 16
"""Of a quarter."""
KINDS = {"left alone": False, "kept to the grid": True}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some seconds of a file: ticks of what begins there, and how many notes that are."""

    ticks: npt.NDArray[np.int64]
    num_notes: int
    seconds: float
    file: MidiFile

    @classmethod
    def of(cls, file: MidiFile, begin: float, end: float) -> Part:
        """What begins from one moment to before another, in seconds."""
        starts = file.performance.notes["start_us"]
        is_there = (starts >= begin * MICROSECONDS) & (starts < end * MICROSECONDS)
        ticks = file.note_ticks["start_tick"][is_there]
        return cls(ticks=np.unique(ticks), num_notes=len(ticks), seconds=end - begin, file=file)

    def share_on(self, grid: Grid) -> float:
        """The share of moments no further from a line than can be heard."""
        us = self.file.tempo_map.ticks_to_us(self.ticks)
        return float(np.mean(np.abs(grid.nearest_us(us) - us) <= NEAR_SECONDS * MICROSECONDS))

    def places(self) -> npt.NDArray[np.float64]:
        """How moments are shared out among sixteenths of each of four quarters."""
        per_place = self.file.tempo_map.ticks_per_quarter / PLACES
        places = np.rint(self.ticks / per_place).astype(np.int64) % (QUARTERS * PLACES)
        return np.bincount(places, minlength=QUARTERS * PLACES) / len(places)


def quantized(folder: Path) -> Iterator[tuple[Path, MidiFile, Grid]]:
    """The files that are on one grid up to the end of what is compared, at one tempo."""
    end = PRIMER_SECONDS + NEW_SECONDS
    for path in sorted(folder.rglob("*.mid")):
        file = read_midi(path)
        if file.performance.seconds < end or len(file.tempo_map.ticks) > 1:
            continue
        first, whole = (
            grid_of(file, 0, int(seconds * MICROSECONDS)) for seconds in (PRIMER_SECONDS, end)
        )
        if first and whole and first.lines_per_quarter == whole.lines_per_quarter:
            yield path, file, first


def count_grids(folder: Path) -> dict[str, int]:
    """Of how many played files the music up to 20, 40 and 60 s was taken for quantized."""
    moments = [20 * MICROSECONDS, 40 * MICROSECONDS, 60 * MICROSECONDS]
    files = [read_midi(path) for path in sorted(folder.rglob("*.mid*"))]
    taken = [any(grid_of(file, 0, moment) for moment in moments) for file in files]
    return {"files": len(files), "taken for quantized": sum(taken)}


def continued(session: Session, path: Path, *, is_kept: bool) -> MidiFile:
    """The file as far as the primer, and new music."""
    return goes_on(
        session,
        path,
        path.name,
        SamplingOptions(keep_grid=is_kept, keep_levels=is_kept),
        primer_seconds=PRIMER_SECONDS,
        new_seconds=NEW_SECONDS,
    )


def figures(part: Part, primer: Part, grid: Grid) -> dict[str, float]:
    """Of one minute beside the music before it."""
    return {
        "share of moments on the grid": part.share_on(grid),
        "places in four quarters, overlap with the primer": float(
            np.minimum(part.places(), primer.places()).sum()
        ),
        "notes a second over the primer's": (part.num_notes / part.seconds)
        / (primer.num_notes / primer.seconds),
        "notes a moment over the primer's": (part.num_notes / len(part.ticks))
        / (primer.num_notes / len(primer.ticks)),
    }


def main() -> None:
    """Go on, compare, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of MIDI files; played ones are passed over")
    parser.add_argument("--played", type=Path, nargs="*", default=[], help="to be passed over")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--pieces", type=int, default=40)
    arguments = parser.parse_args()
    session = open_session(arguments.checkpoint, device="cpu")
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in ("the file itself", *KINDS)}
    end = PRIMER_SECONDS + NEW_SECONDS
    for path, file, grid in spread(list(quantized(arguments.folder)), arguments.pieces):
        primer = Part.of(file, 0.0, PRIMER_SECONDS)
        made = {"the file itself": file}
        made |= {kind: continued(session, path, is_kept=is_kept) for kind, is_kept in KINDS.items()}
        for kind, whole in made.items():
            rows[kind].append(figures(Part.of(whole, PRIMER_SECONDS, end), primer, grid))
        overlaps = [list(rows[kind][-1].values())[1] for kind in made]
        sys.stderr.write(f"{path.name}: {' '.join(f'{overlap:.2f}' for overlap in overlaps)}\n")
    ones = [1] * len(rows["the file itself"])
    results = {
        "folder": arguments.folder.name,
        "files": len(ones),
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "kinds": {
            kind: {
                name: as_fields(weighted_mean_interval([row[name] for row in found], ones))
                for name in found[0]
            }
            for kind, found in rows.items()
        },
        "played": {folder.name: count_grids(folder) for folder in arguments.played},
        "made_with": {**made_with(), "decoder": session.decoder},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
