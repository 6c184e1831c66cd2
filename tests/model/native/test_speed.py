"""The native decoder has not become slower: work that is counted, and a ratio to torch's.

No test here knows seconds. What is counted is the same on every machine. What is timed is processor
time of decoders that take turns in one process: code twice as slow does not reach the bound, and
what disturbs all alike does not move the ratio.
"""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from perceiver_music.model.base import SequenceModel
from perceiver_music.model.native.decoder import NativeDecoder, Precision
from perceiver_music.model.native.library import kernel_names
from perceiver_music.model.registry import build_from_preset, config_as_dict

pytestmark = pytest.mark.skipif(
    not kernel_names(), reason="the native library is not compiled: there was no C compiler"
)

VOCABULARY, CONTEXT, LATENTS = 400, 4096, 512
SIZE = {"width": 256, "num_heads": 4, "num_layers": 5}
LEAST_RATIO: dict[Precision, float] = {"int8": 8.0, "fp32": 3.6}
"""Measured on one thread: 12.8 and 5.5 with AVX2 beside a training on both cores, and 6.9 and 2.7
when every event is computed twice; 10.7 and 5.0 with AVX-512, sampling included."""
ROUNDS, ATTEMPTS = 5, 3
STEPS = {"native": 48, "torch": 8}


def make(**fields: Any) -> SequenceModel:
    torch.manual_seed(0)
    fields["vocabulary_size"] = VOCABULARY
    model = build_from_preset("perceiver_ar", "modern", fields)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model.eval().requires_grad_(False)


def native(model: SequenceModel, precision: Precision) -> NativeDecoder:
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return NativeDecoder(config_as_dict(model), tensors, precision=precision, threads=1)


def some_tokens(count: int) -> list[int]:
    return np.random.default_rng(0).integers(0, VOCABULARY, count).tolist()


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class InTurn:
    """Decodes that go on, a few events each in every round."""

    def __init__(self, decoders: dict[str, Any]) -> None:
        tokens = some_tokens(CONTEXT)
        self.decoders = decoders
        self.states = {name: decoder.begin(tokens) for name, decoder in decoders.items()}

    def seconds(self, name: str) -> float:
        """Processor time of an event."""
        steps = STEPS["torch" if name == "torch" else "native"]
        started = time.process_time()
        for token in range(steps):
            self.decoders[name].advance(self.states[name], token)
        return (time.process_time() - started) / steps

    def medians(self) -> dict[str, float]:
        found: dict[str, list[float]] = {name: [] for name in self.decoders}
        for _ in range(ROUNDS):
            for name, seconds in found.items():
                seconds.append(self.seconds(name))
        return {name: statistics.median(seconds) for name, seconds in found.items()}

    def ratios(self) -> dict[str, float]:
        """How many times faster than torch each is."""
        found = self.medians()
        return {name: found["torch"] / found[name] for name in found if name != "torch"}


@pytest.mark.slow
@pytest.mark.skipif(kernel_names()[:1] == ("generic",), reason="not measured on such a processor")
def test_it_is_many_times_as_fast_as_torch(one_thread: None) -> None:
    model = make(**SIZE, context=CONTEXT, latents=LATENTS)
    decoders: dict[str, Any] = {name: native(model, name) for name in LEAST_RATIO}
    in_turn = InTurn({**decoders, "torch": model})
    in_turn.medians()  # whoever is first finds caches cold
    seen: list[dict[str, float]] = []
    for _ in range(ATTEMPTS):  # slow code is slow each time, a disturbance is not
        seen.append(in_turn.ratios())
        if all(seen[-1][name] >= least for name, least in LEAST_RATIO.items()):
            return
    pytest.fail(f"times as fast as torch, at least {LEAST_RATIO}: {seen}")


def test_the_latents_of_a_window_are_computed_once() -> None:
    """A window is grown by half of its latents, and the other half was made beside the last one."""
    latents, windows = 32, 10
    decoder = native(make(width=16, num_heads=2, num_layers=1, context=64, latents=latents), "int8")
    state = decoder.begin(some_tokens(100))
    before, steps = state.work, windows * (latents // 2 + 1)
    for token in some_tokens(steps):
        decoder.advance(state, token)
    rows, passes = (now - then for now, then in zip(state.work, before, strict=True))
    assert passes == steps
    assert rows == windows * latents


@pytest.mark.parametrize("count", [1, 3])
def test_decodes_of_one_step_share_its_weights(count: int) -> None:
    decoder = native(make(width=16, num_heads=2, num_layers=1, context=64, latents=32), "int8")
    states = decoder.begin_many([some_tokens(100)] * count)
    before = states[0].work
    assert all(state.work == (0, 0) for state in states[1:])
    for token in some_tokens(200):
        decoder.advance_many(states, [token] * count)
    rows, passes = (now - then for now, then in zip(states[0].work, before, strict=True))
    assert passes == 200
    assert count * 200 < rows < 2 * count * 200
    assert all(state.work == (0, 0) for state in states[1:])
