"""How many long generations get stuck, with the guard and without; and whom else it would touch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.openings import mixed_openings
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.growth import Continuation
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.loops import LoopGuard
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.jobs.continuation import Session, open_session

RESULTS = Path(__file__).with_name("results.json")
TEMPERATURES = (0.9, 0.95, 1.0)
PRIMER_EVENTS = 512


def events_stuck(ids: np.ndarray) -> int:
    """After how many events of a piece the guard would be acting."""
    guard, stuck = LoopGuard(), 0
    for token in ids:
        guard.take(int(token))
        stuck += guard.is_acting
    return stuck


def generate(
    session: Session, opening: Opening, number: int, *, events: int, loop_guard: bool
) -> Continuation:
    """One long piece."""
    temperature = TEMPERATURES[number % len(TEMPERATURES)]
    *_, music = continue_events(
        session._loaded.model,
        opening,
        limits=Limits(num_events=events),
        sampling=SamplingOptions(temperature=temperature, loop_guard=loop_guard),
        rng=variation_rng(1, number),
        context=session.context,
        latents=session.latents,
    )
    return music


def longest_stuck_seconds(music: Continuation) -> float:
    """The longest stretch in which the guard was, or would have been, acting."""
    guard, longest, since = LoopGuard(), 0, None
    step = 0
    for token in music.ids:
        guard.take(token)
        step += token - 255 if 256 <= token < 356 else 0
        since = (step if since is None else since) if guard.is_acting else None
        longest = max(longest, 0 if since is None else step - since)
    return longest / 100


def real_pieces(store: TokenStore, splits: list[str]) -> dict[str, Any]:
    """By split: pieces, events, and those at which the guard would act."""
    found = {}
    for split in splits:
        pieces = store.split(split)
        counts = [events_stuck(store.ids(piece)) for piece in pieces]
        found[split] = {
            "pieces": len(pieces),
            "events": sum(piece.num_tokens for piece in pieces),
            "pieces_touched": sum(count > 0 for count in counts),
            "events_touched": sum(counts),
        }
    return found


def generated_pieces(arguments: argparse.Namespace, store: TokenStore) -> dict[str, Any]:
    """Each piece without the guard, and again with it where it would have acted."""
    session = open_session(arguments.checkpoint, device="cpu")
    rows = []
    openings = mixed_openings(store, "validation", arguments.pieces, num_events=PRIMER_EVENTS)
    for number, (name, opening) in enumerate(openings, start=1):
        without = generate(session, opening, number, events=arguments.events, loop_guard=False)
        row = {
            "opening": name,
            "temperature": TEMPERATURES[number % len(TEMPERATURES)],
            "stuck_events": events_stuck(np.array(without.ids)),
            "stuck_seconds": longest_stuck_seconds(without),
        }
        if row["stuck_events"]:  # where it does not act, the same events come out
            led = generate(session, opening, number, events=arguments.events, loop_guard=True)
            row |= {
                "guarded_events": events_stuck(np.array(led.ids)),
                "guarded_seconds": longest_stuck_seconds(led),
                "is_stuck_at_the_end": led.num_guarded > 0 and ends_stuck(led),
            }
        rows.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
    return {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session._loaded.sha256,
        "pieces": len(rows),
        "events_each": arguments.events,
        "stuck_without": sum(row["stuck_events"] > 0 for row in rows),
        "stuck_share_of_events_without": share(rows, "stuck_events", arguments.events),
        "stuck_share_of_events_with": share(rows, "guarded_events", arguments.events),
        "still_stuck_at_the_end_with": sum(row.get("is_stuck_at_the_end", False) for row in rows),
        "rows": rows,
    }


def ends_stuck(music: Continuation) -> bool:
    """Whether the music is in a loop when it stops."""
    guard = LoopGuard()
    for token in music.ids:
        guard.take(token)
    return guard.is_acting


def share(rows: list[dict[str, Any]], key: str, events: int) -> float:
    """Of all events, those that a row's count names."""
    return round(sum(row.get(key, 0) for row in rows) / (events * len(rows)), 5)


def main() -> None:
    """Count real pieces, or generate; keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--events", type=int, default=4096)
    parser.add_argument("--real", nargs="+", metavar="SPLIT", help="count MAESTRO's own pieces")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    store = TokenStore.open(arguments.store)
    if arguments.real:
        found = real_pieces(store, arguments.real)
        results["real"] = {"splits": found, "made_with": torch_made_with()}
    else:
        made = generated_pieces(arguments, store)
        results["generated"] = {**made, "made_with": torch_made_with()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
