"""Every event is scored once, by the probability that the model gives it there."""

import numpy as np
import pytest
import torch

from perceiver_music.evaluation.likelihood import ScoringOptions, _windows, score_piece
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import build_from_preset
from tests.without_float64 import WithoutFloat64

VOCABULARY = 20


@pytest.fixture(params=["perceiver_ar", "transformer"])
def model(request: pytest.FixtureRequest) -> SequenceModel:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 24}
    if request.param == "perceiver_ar":
        fields["latents"] = 8
    model = build_from_preset(request.param, "modern", {**fields, "vocabulary_size": VOCABULARY})
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("length", [2, 3, 8, 9, 10, 24, 25, 26, 100])
@pytest.mark.parametrize("stride", [1, 4, 8])
def test_windows_cover_every_target_once(length: int, stride: int) -> None:
    options = ScoringOptions(context=24, latents=8, stride=stride)
    scored = [
        target
        for window in _windows(length, options)
        for target in range(window.end - window.num_scored, window.end)
    ]
    assert scored == list(range(length - 1))
    for window in _windows(length, options):
        assert window.num_scored <= window.num_latents <= window.end - window.start <= 24


@pytest.mark.parametrize("length", [2, 9, 60])
def test_scores_are_those_of_each_prediction_alone(model: SequenceModel, length: int) -> None:
    sequence = np.random.default_rng(0).integers(0, VOCABULARY, length)
    options = ScoringOptions(context=24, latents=8, stride=3)
    nats = score_piece(model, sequence, options)
    expected = []
    for window in _windows(length, options):
        tokens = torch.as_tensor(sequence[window.start : window.end])[None]
        with torch.no_grad():
            logits = model(tokens, num_latents=window.num_latents)[0]
        probabilities = logits.double().softmax(-1)
        for back in range(window.num_scored, 0, -1):
            target = sequence[window.end - back + 1]
            expected.append(-probabilities[-back, target].log().item())
    assert nats == pytest.approx(expected, abs=1e-5)


def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_vocabulary() -> None:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 24, "latents": 8}
    fresh = build_from_preset("perceiver_ar", "modern", {**fields, "vocabulary_size": VOCABULARY})
    nats = score_piece(fresh.eval(), [1, 2, 3, 4], ScoringOptions.for_model(fresh))
    assert nats == pytest.approx([np.log(VOCABULARY)] * 3)


def test_the_model_gives_the_defaults(model: SequenceModel) -> None:
    options = ScoringOptions.for_model(model)
    assert (options.context, options.latents) == (model.context, model.latents)
    assert options.stride == model.latents // 2
    assert ScoringOptions.for_model(model, context=4).latents == min(4, model.latents)


def test_nothing_to_score_is_refused(model: SequenceModel) -> None:
    with pytest.raises(ValueError, match="two tokens"):
        score_piece(model, [1], ScoringOptions.for_model(model))
    with pytest.raises(ValueError, match="stride"):
        ScoringOptions(context=24, latents=8, stride=9)


class Elsewhere(SequenceModel):
    """A model on another device."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(VOCABULARY, VOCABULARY, device="meta")

    def forward(
        self, tokens: torch.Tensor, *, num_latents: int, visible: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.table(tokens[:, -num_latents:])

    def _build(self, state: object) -> None:
        raise NotImplementedError

    def _append(self, state: object, token: int) -> None:
        raise NotImplementedError


def test_a_device_without_float64_scores_too() -> None:
    with WithoutFloat64():
        nats = score_piece(
            Elsewhere(), list(range(12)), ScoringOptions(context=8, latents=4, stride=4)
        )
    assert nats.dtype == np.float64
    assert nats.tolist() == [0.0] * 11
