"""The native decoder against the uncached forward, on every kind of processor that this one is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from perceiver_music.model.native.decoder import NativeDecode, NativeDecoder
from perceiver_music.model.native.library import kernel_names
from perceiver_music.model.native.weights import NotNative
from perceiver_music.model.perceiver_ar import PerceiverAR
from perceiver_music.model.registry import build_from_config, build_from_preset, config_as_dict

VOCABULARY, CONTEXT, LATENTS = 24, 40, 8
LAYOUT = {"note_on": 0, "note_off": 4, "time_shift": 8, "velocity": 12, "suffix": 16, "middle": 17}
LAYOUT |= {"num_pitches": 4, "num_shifts": 4, "num_velocities": 4}
TIMED = {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25}
EVENTS = {"events": LAYOUT, "neighbour_keys": True, "block": TIMED}
OF_TOKENS = {"neighbour_keys": False, "gap_embeddings": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {"width": 16, "num_heads": 2},
    "events": {"width": 96, "num_heads": 3, **EVENTS},
    "gaps": {"width": 96, "num_heads": 3, **EVENTS, "gap_embeddings": True},
    "odd sizes": {"width": 30, "num_heads": 3, "latents": 9, "num_layers": 1, "events": LAYOUT},
    "keys of tokens": {"width": 96, "num_heads": 3, **EVENTS, **OF_TOKENS},
    "four heads of 64": {"width": 256, "num_heads": 4, "num_layers": 1},
    "eight heads of 64": {"width": 512, "num_heads": 8, "num_layers": 1},
    "eight heads": {"width": 64, "num_heads": 8, "block": {"rotary_fraction": 1.0}},
    "five heads": {"width": 80, "num_heads": 5, **EVENTS},
    "seven heads": {"width": 140, "num_heads": 7, "num_layers": 1, **EVENTS},
    "nine heads": {"width": 90, "num_heads": 9, "latents": 7, **EVENTS},
    "bare": {
        "width": 80,
        "num_heads": 1,
        "logit_soft_cap": None,
        "block": {"value_embeddings": False, "mlp_ratio": 3},
    },
}

pytestmark = pytest.mark.skipif(
    not kernel_names(), reason="the native library is not compiled: there was no C compiler"
)


@dataclass(frozen=True)
class Pair:
    """A network twice: torch's, and the tensors that the native library takes."""

    model: PerceiverAR
    tensors: dict[str, np.ndarray]

    def native(
        self, precision: str = "fp32", kernels: str | None = None, policy: str = "exact"
    ) -> NativeDecoder:
        config = config_as_dict(self.model)
        return NativeDecoder(
            config, self.tensors, precision=precision, kernels=kernels, policy=policy
        )

    def expected(self, tokens: list[int], state: NativeDecode) -> np.ndarray:
        window = torch.tensor([tokens[state.context_start :]])
        with torch.no_grad():
            return self.model(window, num_latents=state.num_latents)[0, -1].numpy()


def make_pair(name: str, *, as_bf16: bool = False) -> Pair:
    sizes = {"num_layers": 2, "context": CONTEXT, "latents": LATENTS}
    fields = {**sizes, **NETWORKS[name], "vocabulary_size": VOCABULARY}
    model = build_from_preset("perceiver_ar", "modern", fields)
    if name == "bare":
        model = build_from_config(
            "perceiver_ar", {**config_as_dict(model), "previous_token": False}
        )
    assert isinstance(model, PerceiverAR)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
        parameter.data = parameter.bfloat16().float()
    state = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    if as_bf16:  # the same numbers in half the space
        halves = {key: tensor.bfloat16().view(torch.int16) for key, tensor in state.items()}
        return Pair(model.eval(), {k: t.numpy().view(np.uint16) for k, t in halves.items()})
    return Pair(model.eval(), {key: tensor.numpy() for key, tensor in state.items()})


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return make_pair(request.param)


def some_tokens(count: int, seed: int = 0) -> list[int]:
    """Tokens but those of infilling prompts, which have a test of their own."""
    tokens = np.random.default_rng(seed).integers(0, VOCABULARY - 2, count)
    return np.where(tokens < LAYOUT["suffix"], tokens, tokens + 2).tolist()


@pytest.mark.parametrize(
    ("primer_length", "kernels"),
    [*((length, None) for length in (1, 2, 7, 96)), *((33, name) for name in kernel_names())],
)
def test_logits_are_those_of_the_uncached_forward(
    pair: Pair, primer_length: int, kernels: str | None
) -> None:
    tokens = some_tokens(primer_length)
    decoder = pair.native(kernels=kernels)
    state = decoder.begin(tokens)
    for token in some_tokens(CONTEXT + LATENTS + 3, seed=1):
        expected = pair.expected(tokens, state)
        np.testing.assert_allclose(state.logits, expected, atol=1e-4, rtol=0)
        decoder.advance(state, token)
        tokens.append(token)


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize(
    "network", ["events", "keys of tokens", "five heads", "eight heads", "nine heads"]
)
def test_a_long_context_is_read_whole(network: str, kernels: str) -> None:
    """Keys are read in stages, which a short context has only one of."""
    tokens, long = some_tokens(900), {"context": 777, "latents": 40}
    pair = make_pair(network)
    decoder = pair.native(kernels=kernels)
    alone, beside = (decoder.begin(tokens, **long) for _ in range(2))
    other = decoder.begin(some_tokens(300, seed=3), **long)
    for token in some_tokens(45, seed=1):
        np.testing.assert_allclose(alone.logits, pair.expected(tokens, alone), atol=1e-4, rtol=0)
        np.testing.assert_array_equal(alone.logits, beside.logits)
        decoder.advance(alone, token)
        decoder.advance_many([beside, other], [token, token])
        tokens.append(token)


@pytest.mark.parametrize(("context", "latents"), [(9, 9), (11, 2), (70, 31)])
def test_windows_move_as_torch_moves_them(pair: Pair, context: int, latents: int) -> None:
    tokens = some_tokens(17)
    decoder = pair.native()
    state = decoder.begin(tokens, context=context, latents=latents)
    oracle = pair.model.begin(tokens, context=context, latents=latents)
    for token in some_tokens(context + latents, seed=2):
        here, there = (state.context_start, state.num_latents), oracle
        assert here == (there.context_start, there.num_latents)
        np.testing.assert_allclose(state.logits, oracle.logits.numpy(), atol=1e-4, rtol=0)
        decoder.advance(state, token)
        pair.model.advance(oracle, token)


@pytest.mark.parametrize(
    ("length", "context", "latents"),
    [(17, 40, 8), (1, 40, 8), (90, 33, 32), (5, 9, 9), (17, 11, 2)],
)
def test_windows_slide_as_torch_slides_them(
    pair: Pair, length: int, context: int, latents: int
) -> None:
    tokens = some_tokens(length)
    decoder = pair.native(policy="slide")
    states = decoder.begin_many([tokens] * 2, context=context, latents=latents)
    pair.model.policy = "slide"
    oracle = pair.model.begin(tokens, context=context, latents=latents)
    pair.model.policy = "exact"
    for token in some_tokens(2 * context + latents, seed=2):
        for state in states:
            here = state.context_start, state.num_latents
            assert here == (oracle.context_start, oracle.num_latents)
            np.testing.assert_allclose(state.logits, oracle.logits.numpy(), atol=1e-4, rtol=0)
        decoder.advance_many(states, [token, token])
        pair.model.advance(oracle, token)
    copied = decoder.branch(states[0])
    decoder.advance_many([states[0], copied], [3, 3])
    np.testing.assert_array_equal(states[0].logits, copied.logits)


@pytest.mark.parametrize("network", ["events", "keys of tokens", "gaps"])
@pytest.mark.parametrize("latents", [LATENTS, 20])
def test_a_gap_is_filled_as_torch_fills_it(latents: int, network: str) -> None:
    """With few latents they lie on the middle, with many on the prompt, too."""
    pair = make_pair(network)
    before, after, length = [12, 0, 9, 4, 1, 8], [13, 2, 8, 6], [11, 11, 9]
    prompt = [*before, 16, *after, 17, *length]
    middle = [1, 9, 5, 3, *some_tokens(60)]
    decoder = pair.native()
    for given in range(5):
        tokens = [*prompt, *middle[:given]]
        states = decoder.begin_many([tokens] * 2, latents=latents)
        for token in middle[given:]:
            expected = pair.expected(tokens, states[0])
            for state in states:
                np.testing.assert_allclose(state.logits, expected, atol=1e-4, rtol=0)
            decoder.advance_many(states, [token, token])
            tokens.append(token)


def test_a_prompt_is_not_given_in_parts() -> None:
    decoder = make_pair("events").native()
    state = decoder.begin([12, 0, 9])
    for token in (LAYOUT["suffix"], LAYOUT["middle"]):
        with pytest.raises(ValueError, match="whole"):
            decoder.advance(state, token)


def test_weights_in_bf16_are_the_same_numbers() -> None:
    wide, narrow = (make_pair("events", as_bf16=as_bf16).native() for as_bf16 in (False, True))
    states = [decoder.begin(some_tokens(50)) for decoder in (wide, narrow)]
    np.testing.assert_array_equal(states[0].logits, states[1].logits)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("network", ["keys of tokens", "five heads", "eight heads of 64"])
def test_no_decode_depends_on_its_company(network: str, precision: str, kernels: str) -> None:
    decoder = make_pair(network).native(precision, kernels)
    primers = [some_tokens(5 + 3 * i, seed=i) for i in range(16)]
    steps = [some_tokens(40, seed=100 + i) for i in range(16)]
    alone = []
    for primer, tokens in zip(primers, steps, strict=True):
        state = decoder.begin(primer)
        for token in tokens:
            decoder.advance(state, token)
        alone.append(state.logits)
    for size, threads in ((3, 1), (8, 2), (8, 8), (16, 5)):
        decoder.threads = threads
        states = [decoder.begin(primer) for primer in primers[:size]]
        for tokens in zip(*steps[:size], strict=True):
            decoder.advance_many(states, tokens)
        for state, expected in zip(states, alone, strict=False):
            np.testing.assert_array_equal(state.logits, expected)


def test_copies_go_their_own_ways(pair: Pair) -> None:
    decoder = pair.native("int8")
    first, second = decoder.begin_many([some_tokens(30)] * 2)
    assert np.array_equal(first.logits, second.logits)
    for token in some_tokens(30, seed=3):
        decoder.advance(first, token)
    for token in some_tokens(30, seed=3):
        decoder.advance(second, token)
    np.testing.assert_array_equal(first.logits, second.logits)
    decoder.advance(first, 1)
    decoder.advance(second, 2)
    assert not np.array_equal(first.logits, second.logits)


@pytest.mark.parametrize("kernels", kernel_names())
def test_int8_is_close_to_exact(pair: Pair, kernels: str) -> None:
    exact, rounded = pair.native("fp32"), pair.native("int8", kernels)
    tokens = some_tokens(60)
    states = [decoder.begin(tokens) for decoder in (exact, rounded)]
    difference = np.abs(states[0].logits - states[1].logits)
    assert 0 < difference.max() < 0.1 * np.ptp(states[0].logits)


def test_impossible_requests_are_refused(pair: Pair) -> None:
    decoder = pair.native()
    with pytest.raises(ValueError, match="at least one token"):
        decoder.begin([])
    with pytest.raises(ValueError, match="latents"):
        decoder.begin([1], context=4, latents=5)
    with pytest.raises(ValueError, match="token ids"):
        decoder.begin([VOCABULARY])
    state = decoder.begin([1])
    with pytest.raises(ValueError, match="token ids"):
        decoder.advance(state, -1)
    with pytest.raises(ValueError, match="2 tokens for 1"):
        decoder.advance_many([state], [1, 2])


def test_what_it_does_not_compute_is_left_to_torch(pair: Pair) -> None:
    config, tensors = config_as_dict(pair.model), pair.tensors
    with pytest.raises(NotNative, match="flavour"):
        NativeDecoder({**config, "query_projection": True}, tensors)
    with pytest.raises(NotNative, match="version"):
        NativeDecoder({**config, "colour": "red"}, tensors)
    with pytest.raises(NotNative, match="fit"):
        NativeDecoder({**config, "num_layers": 3}, tensors)
    for wrong in ({"num_layers": "2"}, {"context": 10**12}, {"context": True}):
        with pytest.raises(NotNative):
            NativeDecoder({**config, **wrong}, tensors)
    with pytest.raises(NotNative, match="no 386"):
        NativeDecoder(config, tensors, kernels="386")
    damaged = {**tensors, "output.weight": np.full_like(tensors["output.weight"], np.nan)}
    with pytest.raises(NotNative, match="finite"):
        NativeDecoder(config, damaged)
