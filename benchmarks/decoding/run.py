"""Events per second after a long primer, with and without caches."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.provenance import torch_made_with
from perceiver_music.generation.grammar import Grammar
from perceiver_music.generation.options import SamplingOptions
from perceiver_music.generation.sampling import draw, probabilities, variation_rng
from perceiver_music.model.base import Anchor, SequenceModel
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.tokenizer import vocabulary as v

RESULTS = Path(__file__).with_name("results.json")
PRIMER_EVENTS, ROUNDS, CACHED_EVENTS, UNCACHED_EVENTS = 4096, 7, 400, 8


def primer() -> list[int]:
    """Events that the grammar allows; what they sound like does not change the work."""
    rng, grammar, tokens = np.random.default_rng(0), Grammar(), [v.BOS]
    while len(tokens) < PRIMER_EVENTS:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.take(token)
        tokens.append(token)
    return tokens


def next_event(logits: torch.Tensor, grammar: Grammar, rng: np.random.Generator) -> int:
    """All that a real continuation does for an event beside the model."""
    token = draw(probabilities(logits.numpy(), grammar.allowed(), SamplingOptions()), rng)
    grammar.take(token)
    return token


def cached(model: SequenceModel, tokens: list[int]) -> tuple[float, float]:
    """Seconds to read the primer, and events a second after it."""
    grammar, rng = Grammar(velocity_bin=16), variation_rng(1, 1)
    started = time.perf_counter()
    state = model.begin(tokens)
    read = time.perf_counter()
    for _ in range(CACHED_EVENTS):
        model.advance(state, next_event(state.logits, grammar, rng))
    return read - started, CACHED_EVENTS / (time.perf_counter() - read)


@torch.inference_mode()
def uncached(model: SequenceModel, tokens: list[int]) -> float:
    """Events a second when each one takes a whole forward pass."""
    grammar, rng, tokens = Grammar(velocity_bin=16), variation_rng(1, 1), list(tokens)
    started = time.perf_counter()
    for _ in range(UNCACHED_EVENTS):
        anchor = Anchor.at(len(tokens), context=model.context, latents=model.latents)
        window = torch.tensor([tokens[anchor.context_start :]])
        logits = model(window, num_latents=anchor.num_latents)[0, -1]
        tokens.append(next_event(logits, grammar, rng))
    return UNCACHED_EVENTS / (time.perf_counter() - started)


def main() -> None:
    """Measure in turn, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_checkpoint(resolve_checkpoint(arguments.checkpoint))
    tokens = primer()
    cached(loaded.model, tokens)
    rounds = [
        (*cached(loaded.model, tokens), uncached(loaded.model, tokens)) for _ in range(ROUNDS)
    ]
    read, fast, slow = (statistics.median(column) for column in zip(*rounds, strict=True))
    result = {
        "checkpoint": loaded.name,
        "checkpoint_sha256": loaded.sha256,
        "primer_events": PRIMER_EVENTS,
        "seconds_to_read_the_primer": round(read, 3),
        "events_per_second_cached": round(fast, 1),
        "events_per_second_uncached": round(slow, 2),
        "ratio": round(fast / slow, 1),
        "rounds": ROUNDS,
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
