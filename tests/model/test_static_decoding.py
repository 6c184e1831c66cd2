"""Steps of one shape give what steps of growing shapes give; so does a CUDA graph of them."""

import contextlib
import copy
import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from perceiver_music.model import elementwise
from perceiver_music.model.base import DecodeState
from perceiver_music.model.perceiver_ar import PerceiverAR
from perceiver_music.model.registry import build_from_preset
from perceiver_music.model.static_decoding import NUM_ROWS

VOCABULARY, CONTEXT, LATENTS = 20, 32, 8
LAYOUT = {"note_on": 0, "note_off": 4, "time_shift": 8, "velocity": 12, "suffix": 16, "middle": 17}
LAYOUT |= {"num_pitches": 4, "num_shifts": 4, "num_velocities": 4}
PROMPT = [12, 0, 9, 4, 1, 8, LAYOUT["suffix"], 13, 2, 8, 6, LAYOUT["middle"], 11, 11, 9]
NEAR = {"cpu": {"atol": 2e-5, "rtol": 1e-5}, "cuda": {"atol": 5e-4, "rtol": 1e-4}}
"""Other kernels add in another order; a GPU's are further apart."""
KINDS = ("events", "modern", "paper")
DEVICES = (
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    yield name
    if name == "cuda":  # a failure of a kernel shows where it happened
        torch.cuda.synchronize()


def make_model(kind: str, device: str, dtype: torch.dtype = torch.float32) -> PerceiverAR:
    fields = {"width": 32, "num_heads": 2, "num_layers": 2, "context": CONTEXT, "latents": LATENTS}
    if kind == "events":
        block = {"rotary_fraction": 0.25, "time_rotary_fraction": 0.25}
        fields |= {"events": LAYOUT, "neighbour_keys": True, "gap_embeddings": True, "block": block}
    preset = "paper" if kind == "paper" else "modern"
    model = build_from_preset("perceiver_ar", preset, {**fields, "vocabulary_size": VOCABULARY})
    assert isinstance(model, PerceiverAR)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval().requires_grad_(False).to(device, dtype)


def both_ways(model: PerceiverAR) -> tuple[PerceiverAR, PerceiverAR]:
    """The model with steps of one shape, recorded where that is possible, and with growing ones."""
    growing = copy.deepcopy(model)
    model._is_static, growing._is_static = True, False
    return model, growing


def random_tokens(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(LAYOUT["suffix"], (count,), generator=generator).tolist()


@pytest.mark.parametrize("policy", ["exact", "slide"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("primer_length", "context", "latents"),
    [(1, CONTEXT, LATENTS), (60, CONTEXT, LATENTS), (20, 23, 9)],
)
def test_one_shape_changes_nothing(
    kind: str, policy: str, primer_length: int, context: int, latents: int, device: str
) -> None:
    static, growing = both_ways(make_model(kind, device))
    static.policy = growing.policy = policy
    primer = random_tokens(primer_length)
    states = [model.begin(primer, context=context, latents=latents) for model in (static, growing)]
    for token in random_tokens(context + latents, seed=1):
        for model, state in zip((static, growing), states, strict=True):
            model.advance(state, token)
        torch.testing.assert_close(states[0].logits, states[1].logits, **NEAR[device])
    assert states[0].row is not None
    assert states[1].row is None


@pytest.mark.parametrize("latents", [LATENTS, 20])
def test_a_gap_is_filled_the_same_way(latents: int, device: str) -> None:
    models = both_ways(make_model("events", device))
    states = [model.begin(PROMPT, context=CONTEXT, latents=latents) for model in models]
    for token in [1, 9, 5, 3, 8, 0] * 6:
        for model, state in zip(models, states, strict=True):
            model.advance(state, token)
        torch.testing.assert_close(states[0].logits, states[1].logits, **NEAR[device])
    with pytest.raises(ValueError, match="whole"):
        models[0].advance(states[0], LAYOUT["suffix"])


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_depends_on_company(kind: str, device: str) -> None:
    """To the last digit: others begin, go on, end, and are built anew at other times."""
    model, _ = both_ways(make_model(kind, device))
    primers = [random_tokens(5 + 7 * row, seed=row) for row in range(NUM_ROWS + 3)]
    added = [random_tokens(40, seed=100 + row) for row in range(len(primers))]
    alone = []
    for primer, tokens in zip(primers, added, strict=True):
        state = model.begin(primer)
        alone.append([])
        for token in tokens:
            model.advance(state, token)
            alone[-1].append(state.logits)
    states = [model.begin(primer) for primer in primers]
    assert len({id(state.row.rows) for state in states if state.row is not None}) == 2
    for step in range(40):
        # A different third is absent each time; each token has its turn, at another time.
        present = [row for row in range(len(states)) if (row + step) % 3]
        done = [len(states[row].tokens) - len(primers[row]) for row in present]
        tokens = [added[row][i] for row, i in zip(present, done, strict=True)]
        model.advance_many([states[row] for row in present], tokens)
        for row, i in zip(present, done, strict=True):
            assert torch.equal(states[row].logits, alone[row][i])


def test_a_decode_that_ends_leaves_its_row_to_the_next(device: str) -> None:
    model, _ = both_ways(make_model("events", device))
    state = model.begin(random_tokens(9))
    model.advance(state, 3)
    assert state.row is not None
    first, logits = state.row, state.logits
    others = model.begin_many([random_tokens(9)] * NUM_ROWS)
    places = [(id(other.row.rows), other.row.index) for other in others if other.row is not None]
    assert len(set(places)) == NUM_ROWS
    assert sum(place[0] == id(first.rows) for place in places) == NUM_ROWS - 1
    del state, others
    gc.collect()
    again = model.begin(random_tokens(9))
    assert again.row == first
    model.advance(again, 3)
    assert torch.equal(again.logits, logits)
    model.begin(random_tokens(9), context=20)  # other sizes: what nobody uses is let go
    assert [rows.sizes.context for rows in model._pool._all] == [CONTEXT, 20]


def test_other_weights_get_other_rows(device: str) -> None:
    model, _ = both_ways(make_model("events", device))
    state = model.begin(random_tokens(9))
    model.advance(state, 3)
    assert copy.deepcopy(model)._pool._all == []
    with torch.inference_mode():
        model.output.weight *= 2  # in place: the same rows, and what they say follows
        model.embedding.weight += 0.1
    static, growing = both_ways(model)
    states = [each.begin(random_tokens(9)) for each in (static, growing)]
    static.advance(states[0], 3)
    growing.advance(states[1], 3)
    torch.testing.assert_close(states[0].logits, states[1].logits, **NEAR[device])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_as_near_as_it_can_be(kind: str, device: str) -> None:
    static, growing = both_ways(make_model(kind, device, torch.bfloat16))
    states = [model.begin(random_tokens(40)) for model in (static, growing)]
    for token in random_tokens(20, seed=1):
        static.advance(states[0], token)
        growing.advance(states[1], token)
        assert states[0].logits.dtype == torch.float32
        torch.testing.assert_close(states[0].logits, states[1].logits, atol=0.5, rtol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_records_its_steps_unasked() -> None:
    model = make_model("events", "cuda")
    state = model.begin(random_tokens(9))
    model.advance(state, 3)
    assert state.row is not None
    assert state.row.rows._graph is not None


def test_where_nothing_can_be_recorded_steps_are_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU whose driver refuses: it is said once, and the numbers stay."""
    static, growing = both_ways(make_model("events", "cpu"))
    states = [model.begin(random_tokens(9)) for model in (static, growing)]
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name in ("device", "stream", "set_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda given: contextlib.nullcontext())
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda: stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", refuse)
    assert states[0].row is not None
    states[0].row.rows._is_recorded = True
    with pytest.warns(UserWarning, match=r"no CUDA graph here \(not today\)"):
        static.advance(states[0], 3)
    for token in (9, 1):
        static.advance(states[0], token)
    for token in (3, 9, 1):
        growing.advance(states[1], token)
    torch.testing.assert_close(states[0].logits, states[1].logits, **NEAR["cpu"])


def refuse() -> None:
    raise RuntimeError("not today\nand more")


class Devices(TorchDispatchMode):
    """Where the tensors of all operations lie."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        self.seen |= {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return result


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_asks_the_processor_for_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device without memory it could not read a number back; all it uses must lie there."""
    monkeypatch.setattr(elementwise, "compute_dtype", lambda x: x.dtype)
    model = make_model(kind, "meta")
    state = DecodeState([1], context=CONTEXT, latents=LATENTS)
    with torch.no_grad():
        layout, table = model.config.events, model._context_table()
        block, like = model.config.block, model.output.weight
        model._pool.restart(state, table, block, len(model.layers), layout, like=like)
        assert state.row is not None
        model._append_rows(state.row.rows)  # tables that are kept are made
        with Devices() as devices:
            logits = model._append_rows(state.row.rows)
    assert logits.shape == (NUM_ROWS, VOCABULARY)
    assert devices.seen == {"meta"}
