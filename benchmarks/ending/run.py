"""How pieces that are brought to an end do so, beside how pianists do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.openings import mixed_openings
from benchmarks.provenance import torch_made_with
from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.generation.continuation import continue_events
from perceiver_music.generation.ending import as_numpy
from perceiver_music.generation.growth import Continuation
from perceiver_music.generation.last_chord import Tonic
from perceiver_music.generation.limits import Limits
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.primer import Opening
from perceiver_music.generation.sampling import variation_rng
from perceiver_music.jobs.continuation import Session, open_session
from perceiver_music.tokenizer import vocabulary as v
from perceiver_music.tokenizer.performance_events import decode

RESULTS = Path(__file__).with_name("results.json")
PRIMER_EVENTS = 512
TOGETHER_SECONDS, KEY_SECONDS, LAST_SECONDS, BEFORE_SECONDS = 0.1, 30, 4, 20
AGAIN_SECONDS = 0.4


def make(session: Session, opening: Opening, limits: Limits, number: int) -> Continuation:
    """One piece; with and without an ending it is the same up to its last part."""
    *_, music = continue_events(
        session.loaded.model,
        opening,
        limits=limits,
        sampling=SamplingOptions(),
        rng=variation_rng(1, number),
        context=session.context,
        latents=session.latents,
    )
    return music


def heard(ids: Sequence[int], velocity_bin: int | None = None) -> dict[str, Any]:
    """What the end of some music is like."""
    in_force = [] if velocity_bin is None else [v.VELOCITY + velocity_bin]
    notes = decode(np.array([*in_force, *ids], dtype=np.uint16)).notes
    onset, end = notes["start_us"] / 1e6, notes["end_us"] / 1e6
    last, over = onset.max(), end.max()
    rings = set(notes["pitch"][end > (last + over) / 2].tolist())
    tonic = Tonic.of(notes["pitch"][onset > over - KEY_SECONDS])
    chord = onset >= last - TOGETHER_SECONDS
    just_before = ~chord & (onset >= last - TOGETHER_SECONDS - AGAIN_SECONDS)
    now = int((onset > over - LAST_SECONDS).sum()) / LAST_SECONDS
    is_before = (onset > over - LAST_SECONDS - BEFORE_SECONDS) & (onset <= over - LAST_SECONDS)
    before = int(is_before.sum()) / BEFORE_SECONDS
    return {
        "keys_struck": int(chord.sum()),
        "keys_sounding": len(rings),
        "seconds": round(float(over - last), 2),
        "has_tonic_bass": min(rings) % 12 == tonic.root,
        "is_tonic_chord": {pitch % 12 for pitch in rings} <= tonic.triad,
        "is_struck_again": bool(np.isin(notes["pitch"][chord], notes["pitch"][just_before]).any()),
        "share_of_density": round(now / before, 3) if before else None,
    }


def likelihood(session: Session, tokens: Sequence[int]) -> dict[str, float]:
    """Nats of the last chord's notes (each), of nothing being struck while it rings, and of EOS."""
    is_onset = [v.NOTE_ON <= token < v.NOTE_OFF for token in tokens]
    last = len(tokens) - 1 - is_onset[::-1].index(True)
    first, steps = last, 0
    while first and steps <= TOGETHER_SECONDS * v.STEPS_PER_SECOND:
        first -= 1
        token = tokens[first]
        steps += token - v.TIME_SHIFT + 1 if v.TIME_SHIFT <= token < v.VELOCITY else 0
    model = session.loaded.model
    state = model.begin(tokens[: first + 1], context=session.context, latents=session.latents)
    chord, silence = [], 0.0
    for place in range(first + 1, len(tokens)):
        token, nats = tokens[place], _nats(state.logits)
        if place <= last and is_onset[place]:
            chord.append(nats[token])
        if place > last and v.TIME_SHIFT <= token < v.VELOCITY:
            silence -= np.logaddexp.reduce(-nats[token : v.VELOCITY])
        model.advance(state, token)
    return {
        "nats_of_a_last_note": round(float(np.mean(chord)), 2),
        "nats_of_silence": round(silence, 2),
        "nats_of_eos": round(float(_nats(state.logits)[v.EOS]), 2),
    }


def _nats(logits: Any) -> Any:
    scores = as_numpy(logits).astype(np.float64)
    return np.logaddexp.reduce(scores) - scores


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Quartiles of what is measured, shares of what is or is not."""
    found: dict[str, Any] = {"pieces": len(rows)}
    for name, first in rows[0].items():
        values = [row[name] for row in rows if row[name] is not None]
        if isinstance(first, bool):
            found[name] = round(float(np.mean(values)), 2)
        elif not isinstance(first, str):
            found[name] = np.percentile(values, [25, 50, 75]).round(2).tolist()
    return found


def one_row(session: Session, opening: Opening, music: Continuation) -> dict[str, Any]:
    """All that is measured of a piece."""
    ids = [*music.ids, *music.closing]
    return heard(ids, opening.velocity_bin) | likelihood(session, [*opening.tokens, *ids])


def main() -> None:
    """Make the pieces, measure, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    session = open_session(arguments.checkpoint, device="cpu")
    store = TokenStore.open(arguments.store)
    played = []
    for piece in store.split(arguments.split):
        ids = [int(token) for token in store.ids(piece)]
        played.append(heard(ids) | likelihood(session, [v.BOS, *ids]))
    steps = round(arguments.seconds * v.STEPS_PER_SECOND)
    made, cut = [], []
    openings = mixed_openings(store, arguments.split, arguments.runs, num_events=PRIMER_EVENTS)
    for number, (name, opening) in enumerate(openings, start=1):
        music = make(session, opening, Limits(end_step=steps, is_ending_allowed=True), number)
        row = {"opening": name, "ended": music.ended, **one_row(session, opening, music)}
        made.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
        cut.append(
            one_row(session, opening, make(session, opening, Limits(end_step=steps), number))
        )
    results = {
        "checkpoint": session.checkpoint,
        "checkpoint_sha256": session.loaded.sha256,
        "split": arguments.split,
        "seconds": arguments.seconds,
        "runs": len(made),
        "ended": sum(row["ended"] == "ending" for row in made),
        "made": summary(made),
        "cut": summary(cut),
        "played": summary(played),
        "made_with": torch_made_with(),
        "rows": made,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
