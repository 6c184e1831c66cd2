"""Training steps of the three models against context and depth: the paper's Figure 2, and more."""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.decoding.contenders import primer
from benchmarks.provenance import torch_made_with
from benchmarks.training.picture import draw
from perceiver_music.model import table_attention
from perceiver_music.model.device import choose_precision
from perceiver_music.model.registry import build_from_preset
from perceiver_music.tokenizer.registry import get_tokenizer
from perceiver_music.training.memory import keep_freed_memory

FOLDER = Path(__file__).parent
MODELS = ("perceiver_ar", "transformer", "transformer_xl")
PLAIN = "perceiver_ar_torch"
"""Ours without the library's attention: torch's, as the other two have it."""
LATENTS = 512
CONTEXTS = (1024, 2048, 4096, 8192, 16_384, 32_768)
BLOCKS, DEPTHS, DEPTH_CONTEXT = 6, (2, 6, 12, 24), 2048
SIZE = {"width": 256, "num_heads": 4}
OURS = {
    "latents": LATENTS,
    "neighbour_keys": True,
    "block": {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25},
}
CHEAP_SECONDS, FEWEST_ROUNDS = 4.0, 3
MOST_GROWTH = 4.5
"""At most, from one context to twice as much: attention alone is 4."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how all models compute.

    Attributes:
        device: of the models and windows.
        precision: `fp32`, or `bf16` for autocast.
        windows: in each step.
    """

    device: torch.device
    precision: str
    windows: int

    def seconds(self) -> float:
        """A clock: of one thread's work; of the wall where a device is waited for."""
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class Series:
    """One model along one axis: what is varied, and the step at each place."""

    model: str
    places: tuple[int, ...]
    step_at: Callable[[int], Callable[[], int]]


class Trained:
    """A model and its optimizer.

    Args:
        name: of the architecture.
        blocks: all of them; of ours the first is the cross-attend.
        setting: where and how it computes.
    """

    def __init__(self, name: str, blocks: int, setting: Setting) -> None:
        tokenizer = get_tokenizer("maestro-performance-400")
        fields: dict[str, Any] = {**SIZE, "vocabulary_size": tokenizer.vocabulary_size}
        fields["context"] = max(CONTEXTS)
        is_ours = name in (MODELS[0], PLAIN)
        if is_ours:
            fields |= {**OURS, "events": dict(tokenizer.event_layout), "num_layers": blocks - 1}
        else:
            fields["num_layers"] = blocks
        torch.manual_seed(0)
        architecture = MODELS[0] if is_ours else name
        self.model = build_from_preset(architecture, "modern", fields).to(setting.device)
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        self._scored = LATENTS if is_ours else None
        self._setting = setting
        self._is_plain = name == PLAIN

    def step(self, tokens: Tensor) -> int:
        """Forward, backward, update; returns how many positions were scored."""
        never = patch.object(table_attention, "is_possible", return_value=False)
        with never if self._is_plain else nullcontext():
            return self._step(tokens)

    def _step(self, tokens: Tensor) -> int:
        num_latents = self._scored or tokens.shape[1] - 1
        setting = self._setting
        is_bf16 = setting.precision == "bf16"
        with torch.autocast(setting.device.type, torch.bfloat16, enabled=is_bf16):
            logits = self.model(tokens[:, :-1], num_latents=num_latents)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, -num_latents:].flatten())
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return num_latents * len(tokens)


def by_context(setting: Setting, tokens: Tensor) -> list[Series]:
    """The same networks, ever longer windows of one piece."""

    def series(name: str) -> Series:
        trained = Trained(name, BLOCKS, setting)
        windows = {length: tokens[:, -length - 1 :] for length in CONTEXTS}
        return Series(name, CONTEXTS, lambda at: lambda: trained.step(windows[at]))

    return [series(name) for name in (*MODELS, *([PLAIN] if setting.device.type == "cpu" else []))]


def by_depth(setting: Setting, tokens: Tensor) -> list[Series]:
    """The same windows, ever deeper networks."""
    window = tokens[:, -DEPTH_CONTEXT - 1 :]

    def series(name: str) -> Series:
        trained = {depth: Trained(name, depth, setting) for depth in DEPTHS}
        return Series(name, DEPTHS, lambda at: lambda: trained[at].step(window))

    return [series(name) for name in MODELS]


def timed(step: Callable[[], int], setting: Setting) -> tuple[float, int]:
    """Seconds of a step, and the positions that it scored."""
    started = setting.seconds()
    scored = step()
    return setting.seconds() - started, scored


def measure(
    all_series: Iterable[Series], setting: Setting, rounds: int, most_seconds: float
) -> dict[str, Any]:
    """Medians over rounds in which all take turns; the first pass finds where a series ends."""
    steps: dict[tuple[str, int], Callable[[], int]] = {}
    seconds: dict[tuple[str, int], list[float]] = {}
    scored: dict[tuple[str, int], int] = {}
    ended: dict[str, int] = {}
    for series in all_series:
        last = 0.0
        for place in series.places:
            if last * MOST_GROWTH > most_seconds:
                ended[series.model] = place
                break
            key = series.model, place
            steps[key], seconds[key] = series.step_at(place), []
            timed(steps[key], setting)  # caches and memory as every later step finds them
            last, scored[key] = timed(steps[key], setting)
            print(f"{series.model} at {place}: {last:.2f} s", flush=True)
    for number in range(rounds):
        for key, step in steps.items():
            if number < FEWEST_ROUNDS or seconds[key][0] < CHEAP_SECONDS:
                seconds[key].append(timed(step, setting)[0])
    found: dict[str, Any] = {series.model: {} for series in all_series}
    for (model, place), measured in seconds.items():
        median = statistics.median(measured)
        found[model][str(place)] = {
            "step_seconds": round(median, 4),
            "lowest_seconds": round(min(measured), 4),
            "steps_per_second": round(1 / median, 4),
            "loss_tokens_per_second": round(scored[model, place] / median, 1),
            "rounds": len(measured),
        }
    return {"models": found, "would_take_too_long": ended}


def ratios(context: dict[str, Any], depth: dict[str, Any]) -> dict[str, float]:
    """The figures that have bars."""
    ours, full, segments = (context["models"][name] for name in MODELS)
    plain = context["models"].get(PLAIN)

    def growth(series: dict[str, Any], last: str, first: str = "1024") -> float:
        return round(series[last]["step_seconds"] / series[first]["step_seconds"], 2)

    def over(series: dict[str, Any], other: dict[str, Any], at: str, figure: str) -> float:
        return round(series[at][figure] / other[at][figure], 2)

    found = {
        "perceiver_ar, step 32768 over 1024": growth(ours, "32768"),
        "perceiver_ar, step 8192 over 1024": growth(ours, "8192"),
        "transformer_xl, step 8192 over 1024": growth(segments, "8192"),
    }
    if plain:
        found["torch's attention, step 32768 over 1024"] = growth(plain, "32768")
    if "8192" in full:
        found["transformer, step 8192 over 1024"] = growth(full, "8192")
        for figure in ("steps_per_second", "loss_tokens_per_second"):
            found[f"over transformer at 8192, {figure}"] = over(ours, full, "8192", figure)
            if plain:
                name = f"torch's attention, over transformer at 8192, {figure}"
                found[name] = over(plain, full, "8192", figure)
    deep, deep_full = (depth["models"][name] for name in MODELS[:2])
    for at in map(str, DEPTHS):
        found[f"over transformer, {at} blocks, steps_per_second"] = over(
            deep, deep_full, at, "steps_per_second"
        )
    return found


def main() -> None:
    """Measure, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most-seconds", type=float, default=60.0, help="of one step")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--windows", type=int, default=1, help="in each step")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    setting = Setting(
        device=device,
        precision=choose_precision(arguments.precision, device),
        windows=arguments.windows,
    )
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()  # as `train` does
    tokens = torch.tensor([primer(max(CONTEXTS) + 1)] * setting.windows, device=device)
    parameters = {name: Trained(name, BLOCKS, setting).model.num_parameters for name in MODELS}
    limits = {"rounds": arguments.rounds, "most_seconds": arguments.most_seconds}
    context = measure(by_context(setting, tokens), setting, **limits)
    depth = measure(by_depth(setting, tokens), setting, **limits)
    on_cpu = device.type == "cpu"
    result = {
        "seconds_are": "processor time of one thread, medians, all in turn"
        if on_cpu
        else "wall clock, the device waited for, medians, all in turn",
        "device": "cpu" if on_cpu else torch.cuda.get_device_name(device),
        "precision": setting.precision,
        "windows_a_step": setting.windows,
        "latents": LATENTS,
        "parameters": parameters,
        "blocks": BLOCKS,
        "depth_context": DEPTH_CONTEXT,
        "by_context": context,
        "by_depth": depth,
        "ratios": ratios(context, depth),
        "peak_memory_mb": peak_memory(device) // 2**20,
        "date": datetime.date.today().isoformat(),
        "made_with": torch_made_with(),
    }
    name = "" if on_cpu else f"-{device.type}"
    text = json.dumps(result, indent=2) + "\n"
    FOLDER.joinpath(f"results{name}.json").write_text(text, encoding="utf-8")
    FOLDER.joinpath(f"figure{name}.svg").write_text(draw(result), encoding="utf-8")


def peak_memory(device: torch.device) -> int:
    """Bytes: of the process, or of its tensors on a device."""
    if device.type == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return torch.cuda.max_memory_allocated(device)


if __name__ == "__main__":
    main()
