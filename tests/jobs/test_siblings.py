"""Variations made together are those made alone, however many there are and whoever fails."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perceiver_music.generation.options import LengthOption
from perceiver_music.jobs.continuation import ContinueRequest, Session, open_session
from perceiver_music.jobs.siblings import MOST_TOGETHER, Siblings
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.registry import build_from_preset
from perceiver_music.tokenizer import vocabulary as v


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    torch.manual_seed(0)
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    torch.nn.init.normal_(model.get_parameter("output.weight"), std=0.2)
    folder: Path = tmp_path_factory.mktemp("checkpoints") / "random"
    save_checkpoint(
        folder,
        model,
        name="random",
        tokenizer_name="maestro-performance-400",
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return str(folder)


def requests(count: int, unit: str = "seconds") -> list[ContinueRequest]:
    length = LengthOption(amount=4, unit=unit)
    return [ContinueRequest(seed=3, index=index + 1, length=length) for index in range(count)]


def made(session: Session, wanted: list[ContinueRequest]) -> list[bytes]:
    return [session.run(request).midi for request in wanted]


@pytest.mark.parametrize("decoder", ["auto", "torch"])
def test_together_they_are_what_they_are_alone(checkpoint: str, decoder: str) -> None:
    wanted = requests(MOST_TOGETHER + 2)
    alone = made(open_session(checkpoint, device="cpu", decoder=decoder), wanted)
    session = open_session(checkpoint, device="cpu", decoder=decoder)
    session.announce(wanted)
    told = []
    first = session.run(wanted[0], told.append)
    assert told
    assert [first.midi, *made(session, wanted[1:])] == alone
    assert len(set(alone)) == len(alone)
    few = open_session(checkpoint, device="cpu", decoder=decoder)
    few.announce(wanted[4:7])
    assert made(few, wanted[4:7]) == alone[4:7]


def test_only_numbers_may_differ_among_siblings() -> None:
    first, second, third = requests(3)
    other = replace(second, seed=4)
    siblings = Siblings()
    siblings.announce([first, second, other, third])
    assert siblings.of(first) == [first, second, third]
    assert siblings.of(third) == [third]
    assert siblings.of(other) == [other]
    assert siblings.take(first) is None
