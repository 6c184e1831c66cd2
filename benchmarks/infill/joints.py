"""How filled gaps go over into the music behind them, with and without looking for it.

Pianists' own middles of the same gaps stand beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.infill.run import interval
from benchmarks.openings import spread
from benchmarks.provenance import made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.music.midi_file import parse_midi
from perceiver_music.music.midi_writer import performance_to_midi
from perceiver_music.music.performance import MICROSECONDS, NoteArray
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("joints.json")
GAP_SECONDS, EDGE_SECONDS = 10.0, 2.0
"""A gap, and so much of the music on both sides of its end."""
FAR = 15.0
"""So much of velocity between the two is a jump."""
KINDS = {"drawn": False, "looked for": True}


@dataclass(frozen=True, kw_only=True)
class GapToFill:
    """A piece as a file, and the moment where its gap begins."""

    name: str
    midi: bytes
    begins: float


def gaps(store: TokenStore, split: str, number: int, seed: int) -> Iterator[GapToFill]:
    """One gap a piece, somewhere in its middle."""
    rng = np.random.default_rng(seed)
    for piece in spread(store.split(split), number):
        performance = decode(store.ids(piece))
        begins = round(float(rng.uniform(0.35, 0.6)) * performance.seconds, 1)
        if begins < GAP_SECONDS or begins + 2 * GAP_SECONDS > performance.seconds:
            continue
        yield GapToFill(name=piece.path, midi=performance_to_midi(performance), begins=begins)


def joint(midi: bytes, begins: float) -> dict[str, float | None]:
    """What lies on both sides of the gap's end.

    Returns:
        `jump`: how much louder the music behind it is than before it; None where either is empty.
        `rest`: seconds from the last key struck in the gap to its end.
    """
    notes = parse_midi(midi, name="a filled gap").performance.notes
    end = begins + GAP_SECONDS
    before = _between(notes, end - EDGE_SECONDS, end)["velocity"]
    behind = _between(notes, end, end + EDGE_SECONDS)["velocity"]
    inside = _between(notes, begins, end)["start_us"] / MICROSECONDS
    jump = float(behind.mean() - before.mean()) if len(before) and len(behind) else None
    return {"jump": jump, "rest": float(end - inside.max(initial=begins))}


def _between(notes: NoteArray, begins: float, ends: float) -> NoteArray:
    starts = notes["start_us"] / MICROSECONDS
    return notes[(starts >= begins) & (starts < ends)]


def fill(session: Session, gap: GapToFill, *, joins: bool, seed: int) -> bytes:
    """The file with its gap filled."""
    request = ContinueRequest(
        primer=gap.midi,
        primer_name=gap.name,
        seed=seed,
        between_seconds=(gap.begins, gap.begins + GAP_SECONDS),
        sampling=SamplingOptions(keep_joint=joins),
    )
    return session.run(request).midi


def summary(joints: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    """Of one kind of middle."""
    jumps = np.array([found["jump"] for found in joints if found["jump"] is not None])
    rests = np.array([found["rest"] for found in joints])
    return {
        "jump of velocity, mean size": round(float(np.abs(jumps).mean()), 2),
        "95%": interval(np.abs(jumps)),
        "jump of velocity, mean": round(float(jumps.mean()), 2),
        f"share of jumps above {FAR:g}": round(float((np.abs(jumps) > FAR).mean()), 3),
        "silent on one side": len(joints) - len(jumps),
        "rest before the end, 9 of 10 below": round(float(np.quantile(rests, 0.9)), 2),
    }


def main() -> None:
    """Fill, compare, and keep the result under the store's name and the split's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pieces", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    store = TokenStore.open(arguments.store)
    session = open_session(arguments.checkpoint, device="cpu", fills_gaps=True)
    rows: list[dict[str, Any]] = []
    for gap in gaps(store, arguments.split, arguments.pieces, arguments.seed):
        row: dict[str, Any] = {"piece": gap.name, "begins": gap.begins}
        row["pianist"] = joint(gap.midi, gap.begins)
        for kind, joins in KINDS.items():
            made = fill(session, gap, joins=joins, seed=arguments.seed)
            row[kind] = joint(made, gap.begins)
        rows.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[f"{arguments.store.stem}, {arguments.split}"] = {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "gaps": len(rows),
        **{kind: summary([row[kind] for row in rows]) for kind in ("pianist", *KINDS)},
        "made_with": {**made_with(), "decoder": session.decoder},
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
