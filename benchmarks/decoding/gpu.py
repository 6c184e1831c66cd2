"""Events per second on an NVIDIA GPU: steps of one shape as a CUDA graph against growing ones."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.decoding import contenders
from benchmarks.provenance import torch_made_with
from perceiver_music.model.base import DecodeState
from perceiver_music.model.checkpoint import load_checkpoint
from perceiver_music.model.checkpoint_catalog import resolve_checkpoint
from perceiver_music.model.perceiver_ar import PerceiverAR
from perceiver_music.model.static_decoding import NUM_ROWS

RESULTS = Path(__file__).with_name("gpu.json")
PRIMER_EVENTS = 4096
ROUNDS = 3
BATCH = 16
WAYS = {"static": True, "growing": False}
# Whole sets of latents, as each is built anew once: of all that is timed, the same share.
SETS = {"static": 2, "growing": 1}
FEW_STEPS = 16
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Time and compare both ways in both precisions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", default=None, help="default: the bundled one")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU here")
    path = resolve_checkpoint(arguments.checkpoint)
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "primer_events": PRIMER_EVENTS,
        "rounds": ROUNDS,
        "made_with": torch_made_with(),
        "precisions": {},
    }
    for name, dtype in PRECISIONS.items():
        loaded = load_checkpoint(path, "cuda", dtype=dtype)
        results |= {"checkpoint": loaded.name, "checkpoint_sha256": loaded.sha256}
        assert isinstance(loaded.model, PerceiverAR)
        results["precisions"][name] = measured(loaded.model)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")
        print(name, json.dumps(results["precisions"][name], indent=2), flush=True)
    print(results["device"], "torch", torch.__version__, "->", arguments.output)


def measured(model: PerceiverAR) -> dict[str, Any]:
    """All figures of one precision."""
    figures: dict[str, Any] = {"agreement": agreement(model)}
    steps_of_set = model.latents // 2 + 1
    for way, is_static in WAYS.items():
        model._is_static = is_static
        figures[way] = {
            "alone": timed(model, 1, SETS[way] * steps_of_set),
            f"batch_{BATCH}": timed(model, BATCH, steps_of_set if is_static else FEW_STEPS),
        }
    figures["static"]["replay_microseconds"] = replay_microseconds(model)
    figures["cross_attention_microseconds"] = cross_attention_microseconds(model)
    for kind in ("alone", f"batch_{BATCH}"):
        rates = [figures[way][kind]["events_per_second"] for way in WAYS]
        figures[f"times_as_fast_{kind}"] = round(rates[0] / rates[1], 2)
    return figures


def timed(model: PerceiverAR, count: int, steps: int) -> dict[str, float]:
    """Rates of `count` decodes side by side, sampling and whatever is built anew included."""
    torch.manual_seed(0)
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    states = model.begin_many([primer(PRIMER_EVENTS)] * count)
    begun = seconds_since(start)
    start = time.perf_counter()
    model.advance_many(states, sampled(model, states))
    first = seconds_since(start)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(steps):
            model.advance_many(states, sampled(model, states))
        seconds.append(seconds_since(start))
    return {
        "events_per_second": round(count * steps / statistics.median(seconds), 1),
        "slowest_round": round(count * steps / max(seconds), 1),
        "begin_seconds": round(begun, 3),
        "first_step_seconds": round(first, 3),
        "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20, 1),
    }


@lru_cache
def primer(num_events: int) -> list[int]:
    """See `contenders`; made once, for it takes as long as much that is timed."""
    return contenders.primer(num_events)


def sampled(model: PerceiverAR, states: list[DecodeState]) -> list[int]:
    """An event for each, of those that may stand anywhere in a decode."""
    assert model.config.events is not None
    logits = torch.stack([state.logits for state in states])[:, : model.config.events.suffix]
    return torch.multinomial(logits.softmax(-1), 1).flatten().tolist()


def agreement(model: PerceiverAR) -> dict[str, Any]:
    """How far apart both ways are after the same events, alone and in company, over a re-anchor."""
    given = primer(PRIMER_EVENTS + 300)
    seen, added = given[:PRIMER_EVENTS], given[PRIMER_EVENTS:]
    logits: dict[str, list[torch.Tensor]] = {}
    for way, is_static in {**WAYS, "together": True}.items():
        model._is_static = is_static
        states = model.begin_many([seen] * (3 if way == "together" else 1))
        logits[way] = []
        for token in added:
            model.advance_many(states, [token] * len(states))
            logits[way].append(states[-1].logits)
        if is_static:
            assert states[0].row is not None
            is_recorded = states[0].row.rows._graph is not None
    static, growing, together = (
        torch.stack(logits[way]) for way in ("static", "growing", "together")
    )
    return {
        "is_recorded": is_recorded,
        "events": len(added),
        "largest_difference": float((static - growing).abs().max()),
        "mean_difference": float((static - growing).abs().mean()),
        "is_same_in_company": bool(torch.equal(static, together)),
        "is_finite": bool(static.isfinite().all()),
    }


def replay_microseconds(model: PerceiverAR) -> float | None:
    """What a step takes when nothing waits for the processor."""
    model._is_static = True
    state = model.begin(primer(PRIMER_EVENTS))
    model.advance(state, 0)
    assert state.row is not None
    graph = state.row.rows._graph
    return None if graph is None else microseconds(graph.replay)


def cross_attention_microseconds(model: PerceiverAR) -> float:
    """Of that, attention to a context of full length."""
    block, like = model.config.block, model.output.weight
    key = torch.randn(NUM_ROWS, block.num_heads, model.context, block.head_width).to(like)
    mask = torch.zeros(NUM_ROWS, 1, 1, model.context).to(like)
    return microseconds(lambda: F.scaled_dot_product_attention(key[:, :, :1], key, key, mask))


@torch.inference_mode()
def microseconds(work: Callable[[], Any], count: int = 200) -> float:
    """Time on the device of each of many in a row."""
    work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        work()
    end.record()
    torch.cuda.synchronize()
    return round(start.elapsed_time(end) / count * 1000, 1)


def seconds_since(start: float) -> float:
    """Until the device has done all that it was told to."""
    torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
