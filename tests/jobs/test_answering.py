"""An answer goes on from what was played, not from the pause that asked for it."""

from typing import Any

import numpy as np
import pytest
import torch

from perceiver_music.jobs import answering
from perceiver_music.jobs.answering import Machine
from perceiver_music.jobs.duet_request import DuetRequest
from perceiver_music.live.duet import Turn
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.registry import build_from_preset
from perceiver_music.music.performance import NOTE_DTYPE, PEDAL_DTYPE, Performance
from perceiver_music.tokenizer import vocabulary as v

NOTES = np.array([(0, 400_000, 60, 70), (500_000, 900_000, 64, 70)], dtype=NOTE_DTYPE)


@pytest.fixture
def machine(tmp_path: Any) -> Machine:
    torch.manual_seed(1)
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    save_checkpoint(
        tmp_path / "c",
        model,
        name="random",
        tokenizer_name="maestro-performance-400",
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return Machine(DuetRequest(checkpoint=str(tmp_path / "c"), device="cpu", seed=1))


@pytest.mark.parametrize(
    ("lift_us", "ends_us"), [(None, 900_000), (1_500_000, 1_500_000), (9_000_000, 2_000_000)]
)
def test_the_pause_is_not_music(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, lift_us: int | None, ends_us: int
) -> None:
    """Up to where it sounds, or the moment of the answer where the pedal holds it for longer."""
    moves = [] if lift_us is None else [(0, 100), (lift_us, 0)]
    played = Performance(NOTES, np.array(moves, dtype=PEDAL_DTYPE))
    openings: list[Any] = []

    def kept(self: Machine, opening: Any, number: int) -> Any:
        openings.append(opening)
        return iter(())

    monkeypatch.setattr(answering.Machine, "_events", kept)
    turn = Turn(number=1, performance=played, from_us=0, at_us=2_000_000, held=frozenset({50, 57}))
    assert list(machine.answer(turn)) == []
    assert openings[0].reserved == {50: 0, 57: 0}  # the player holds them
    steps = sum(t - v.TIME_SHIFT + 1 for t in openings[0].before if v.TIME_SHIFT <= t < v.VELOCITY)
    assert steps == ends_us // 10_000
