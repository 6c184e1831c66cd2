"""Events per second after a long primer: the native decoder, torch with caches and without."""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.decoding.contenders import (
    Contender,
    Timing,
    build,
    cached,
    native,
    packed,
    primer,
    uncached,
)
from benchmarks.provenance import torch_made_with
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.native.decoder import NativeDecoder
from perceiver_music.model.native.library import load_library

RESULTS = Path(__file__).with_name("results.json")
PRIMER_EVENTS, NEW_EVENTS, UNCACHED_EVENTS = 4096, 1024, 4
ANCHOR_EVENTS = 257  # with one re-anchor, as in every 257 events of a longer stretch
READINGS = 10
LONG_CONTEXT = 32_768
BATCHES, BATCH_STEPS = (8, 16), 128
MAESTRO_EVENTS_A_SECOND = 39.8


def in_turn(contenders: dict[str, Contender], rounds: int) -> dict[str, list[Timing]]:
    """Every contender once a round, so that what disturbs one disturbs all."""
    timings: dict[str, list[Timing]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            timings[name].append(contender())
    return timings


def medians(timings: list[Timing]) -> dict[str, float]:
    """Medians over the rounds."""
    return {
        "events_per_second": round(statistics.median(t.events_per_second for t in timings), 1),
        "first_event_seconds": round(statistics.median(t.first for t in timings), 4),
        "longest_gap_ms": round(1e3 * statistics.median(t.longest for t in timings), 2),
    }


def step_bytes(decoder: NativeDecoder, model: SequenceModel) -> int:
    """What an int8 step must read: matrices, the context's keys, the latents' keys and values.

    Of keys that know their neighbours the channels that turn are kept a position, of others only
    the angles, which all heads share; the rest are tables.
    """
    config: Any = model.config
    width, layers = config.block.width, config.num_layers
    matrices = sum(
        tensor.numel()
        for name, tensor in model.state_dict().items()
        if name.startswith(("cross.", "layers.", "output.")) and "value_table" not in name
    )
    matrices -= 2 * width * width  # keys and values of the context come from a table
    heads, fraction = config.block.num_heads, config.block.rotary_fraction
    turned = round((fraction + config.block.time_rotary_fraction) * width)
    tables = decoder.vocabulary_size * (4 * width + width - turned + 4 * heads)
    held = 2 * layers * width * decoder.latents * 3 // 4
    of_position = turned + heads * (4 + 2) + 8  # keys, norms and scales; rows of tables
    if not config.neighbour_keys:
        of_position = turned // heads + 8
        tables += decoder.vocabulary_size * 2 * turned  # in 16 bits
    return matrices + tables + held + of_position * decoder.context


def read_seconds(num_bytes: int, times: int) -> float:
    """CPU seconds to read so many bytes once, the median."""
    library = load_library()
    assert library is not None
    data = np.ones(num_bytes, np.uint8)
    seconds = []
    for _ in range(times):
        started = time.process_time()
        library.pm_read(data.ctypes.data, num_bytes)
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def against_reading(decoder: NativeDecoder, num_bytes: int, rounds: int) -> dict[str, float]:
    """What an event takes beside reading its bytes: by turns, for memory is shared with others."""
    tokens, reading, shares = primer(PRIMER_EVENTS), [], []
    for _ in range(rounds):
        reading.append(read_seconds(num_bytes, READINGS))
        shares.append(reading[-1] * cached(decoder, tokens, ANCHOR_EVENTS).events_per_second)
    return {
        "int8_step_bytes": num_bytes,
        "read_gigabytes_per_second": round(num_bytes / statistics.median(reading) / 1e9, 1),
        "share_of_read_limit": round(statistics.median(shares), 2),
    }


def compare(size: str, rounds: int) -> dict[str, Any]:
    """One model, one voice, in all ways; then batches, in int8."""
    model, tokens = build(size), primer(PRIMER_EVENTS)
    decoders = {f"native {name}": native(model, name) for name in ("int8", "fp32")}
    contenders: dict[str, Contender] = {
        name: partial(cached, decoder, tokens, NEW_EVENTS) for name, decoder in decoders.items()
    }
    contenders["torch, cached"] = partial(cached, packed(model), tokens, ANCHOR_EVENTS)
    contenders["torch, uncached"] = partial(uncached, model, tokens, UNCACHED_EVENTS)
    for batch in BATCHES:
        name = f"native int8, batch {batch}"
        contenders[name] = partial(cached, decoders["native int8"], tokens, BATCH_STEPS, batch)
    for contender in contenders.values():
        contender()
    found: dict[str, Any] = {
        name: medians(timings) for name, timings in in_turn(contenders, rounds).items()
    }
    int8 = decoders["native int8"]
    events_per_second = found["native int8"]["events_per_second"]
    return {
        "parameters": model.num_parameters,
        "context": model.context,
        "latents": model.latents,
        "ways": found,
        **against_reading(int8, step_bytes(int8, model), 4 * rounds),
        "times_real_time": round(events_per_second / MAESTRO_EVENTS_A_SECOND, 1),
    }


def long_context(rounds: int) -> dict[str, Any]:
    """What an event costs when the context is eight times as long."""
    contenders: dict[str, Contender] = {}
    for context in (4096, LONG_CONTEXT):
        decoder = native(build("20M", context=context), "int8")
        contenders[str(context)] = partial(cached, decoder, primer(context), ANCHOR_EVENTS)
    found = {name: medians(timings) for name, timings in in_turn(contenders, rounds).items()}
    costs = [1 / found[name]["events_per_second"] for name in ("4096", str(LONG_CONTEXT))]
    return {"contexts": found, "cost_ratio": round(costs[1] / costs[0], 2)}


def main() -> None:
    """Measure in turn, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="*", default=["bundled", "5M", "20M"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "primer_events": PRIMER_EVENTS,
        "new_events": {"native": NEW_EVENTS, "torch, cached": ANCHOR_EVENTS},
        "rounds": arguments.rounds,
        "seconds_are": "processor time of one thread",
        "models": {size: compare(size, arguments.rounds) for size in arguments.sizes},
        "long_context_20M": long_context(4 * arguments.rounds),  # a ratio of two, so noisier
        "date": datetime.date.today().isoformat(),
        "made_with": torch_made_with(),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
