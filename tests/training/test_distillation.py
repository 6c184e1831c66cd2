"""Learning from other models' predictions."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.dataset.windows import NOT_SCORED
from perceiver_music.model.base import SequenceModel
from perceiver_music.model.registry import build_from_preset
from perceiver_music.training.config import DistillationConfig
from perceiver_music.training.distillation import Teachers, _fitting_semitones, summed_losses
from perceiver_music.training.origins import Origin
from tests.training.test_loop import loop_for, take_steps
from tests.without_float64 import WithoutFloat64

VOCABULARY = 400


class AThirdAbove(SequenceModel):
    """Says that the last pitch comes again, four semitones up or (half as likely) let go."""

    def __init__(self, context: int = 8) -> None:
        super().__init__()
        self.context, self.latents, self.seen = context, 4, []

    def forward(self, tokens: Tensor, *, num_latents: int, visible: Tensor | None = None) -> Tensor:
        self.seen.append((tokens, visible))
        struck = tokens[:, -num_latents:] % 128
        logits = torch.full((*struck.shape, VOCABULARY), -30.0, device=tokens.device)
        logits.scatter_(-1, (struck + 4)[..., None], 2.0)
        logits.scatter_(-1, (struck + 128)[..., None], 1.0)
        return logits

    def _build(self, state: object) -> None:
        raise NotImplementedError

    def _append(self, state: object, token: int) -> None:
        raise NotImplementedError


def windows_of_notes(rows: int, length: int, low: int, high: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(low, high, (rows, length), generator=generator)


def asked(teachers: Teachers, tokens: Tensor, seed: int = 1) -> Tensor:
    return teachers.predictions(tokens, None, num_latents=4, rng=np.random.default_rng(seed))


def test_keys_are_even_and_leave_all_of_a_window_on_the_piano() -> None:
    specials = torch.tensor([397, 300, 360])
    middle, low, wide = [60, 128 + 64], [22, 128 + 50], [21, 128 + 108]
    tokens = torch.stack(
        [torch.cat([specials, torch.tensor(each)]) for each in (middle, low, wide)]
    )
    found = [_fitting_semitones(tokens, np.full(3, draw), 2) for draw in (0.0, 0.3, 0.5, 0.99)]
    assert torch.stack(found).T.tolist() == [[-2, -1, 0, 2], [-1, 0, 1, 2], [0, 0, 0, 0]]
    assert _fitting_semitones(tokens, np.random.default_rng(1).random(3), 0).tolist() == [0, 0, 0]
    # nothing but specials: any shift fits, and none moves anything
    assert _fitting_semitones(specials[None], np.array([0.99]), 2).abs().max() <= 2


def test_keys_are_drawn_by_all_of_a_draw() -> None:
    """In float32 the draw would be 1, and the window leave the limits."""
    tokens = torch.full((2, 4), 60)
    draws = np.array([np.nextafter(1.0, 0.0), np.nextafter(0.2, 0.0)])
    assert _fitting_semitones(tokens, draws, 2).tolist() == [2, -2]


def test_a_device_without_float64_is_taught_too() -> None:
    teachers = Teachers([AThirdAbove()], DistillationConfig(transpose=3))
    with WithoutFloat64():
        answer = asked(teachers, windows_of_notes(4, 8, 40, 80).to("meta"))
    assert (answer.device.type, answer.shape) == ("meta", (4, 4, VOCABULARY))


def test_an_answer_in_another_key_is_moved_back() -> None:
    tokens = windows_of_notes(40, 8, 40, 80)
    model = AThirdAbove()
    moved = asked(Teachers([model], DistillationConfig(transpose=3)), tokens)
    shown = model.seen[-1][0]
    assert len({int(row) for row in (shown - tokens)[:, 0]}) == 7  # all keys within 3 semitones
    still = asked(Teachers([model], DistillationConfig()), tokens)
    assert torch.equal(model.seen[-1][0], tokens)
    assert torch.equal(moved, still)
    torch.testing.assert_close(moved.sum(dim=-1), torch.ones(40, 4))


def test_a_teacher_sees_as_much_as_it_was_trained_on() -> None:
    tokens, visible = windows_of_notes(2, 8, 40, 80), torch.ones(2, 8, dtype=torch.bool)
    visible[:, :3] = False
    model = AThirdAbove(context=6)
    teachers = Teachers([model], DistillationConfig())
    teachers.predictions(tokens, visible, num_latents=4, rng=np.random.default_rng(1))
    assert torch.equal(model.seen[0][0], tokens[:, 2:])
    assert torch.equal(model.seen[0][1], visible[:, 2:])


def test_every_teacher_is_asked_in_its_turn_of_chance() -> None:
    models = [AThirdAbove(), AThirdAbove()]
    teachers = Teachers(models, DistillationConfig())
    for seed in range(40):
        asked(teachers, windows_of_notes(2, 8, 40, 80), seed)
    assert min(len(model.seen) for model in models) > 10


def test_losses_mix_what_was_played_and_what_was_taught() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 10, requires_grad=True)
    targets = torch.randint(10, (2, 4))
    targets[0, :2] = NOT_SCORED
    taught = torch.randn(2, 4, 10).softmax(dim=-1)
    log_p = logits.log_softmax(dim=-1)
    counts = targets != NOT_SCORED
    played = -log_p[counts].gather(1, targets[counts][:, None]).sum()
    crossed = -(taught * log_p)[counts].sum()
    loss, nats = summed_losses(logits, targets, taught, 0.8)
    torch.testing.assert_close(nats, played)
    torch.testing.assert_close(loss, 0.8 * crossed + 0.2 * played)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[0, :2].any()
    alone, nats = summed_losses(logits, targets, None, 0.8)
    assert alone is nats
    assert torch.equal(nats, summed_losses(logits, targets, taught, 0.8)[1])


def test_who_predicts_as_its_teacher_has_nothing_to_learn() -> None:
    logits = torch.randn(2, 4, 10, requires_grad=True)
    targets = torch.randint(10, (2, 4))
    loss, _ = summed_losses(logits, targets, logits.detach().softmax(dim=-1), 1.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-6


def small_teachers(config: DistillationConfig) -> Teachers:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    models = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        model = build_from_preset("perceiver_ar", "modern", {**fields, "vocabulary_size": 400})
        torch.nn.init.normal_(model.get_parameter("output.weight"), std=0.5)
        models.append(model.eval().requires_grad_(False))
    return Teachers(
        models,
        config,
        [Origin(name=name, sha256=name, licence="CC0-1.0") for name in ("one", "other")],
    )


def test_a_taught_run_goes_on_bit_for_bit(tiny_store: TokenStore, tmp_path: Path) -> None:
    settings = ("distillation={share=0.6, transpose=2}",)
    teachers = small_teachers(DistillationConfig(share=0.6, transpose=2))
    whole = loop_for(tiny_store, tmp_path / "whole", *settings, teachers=teachers)
    losses = take_steps(whole, 20)
    first = loop_for(tiny_store, tmp_path / "parts", *settings, teachers=teachers)
    losses_in_parts = take_steps(first, 10)
    first.save(seconds=1.0)
    second = loop_for(tiny_store, tmp_path / "parts", *settings, teachers=teachers, is_resumed=True)
    assert second.counts.teachers_sha256 == ("one", "other")
    losses_in_parts += take_steps(second, 10)
    assert losses_in_parts == losses
    untaught = loop_for(tiny_store, tmp_path / "untaught")
    assert take_steps(untaught, 20)[1:] != losses[1:]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name


def test_a_taught_student_comes_nearer_to_its_teacher(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    teachers = small_teachers(DistillationConfig(share=1.0))
    teachers = Teachers(teachers.models[:1], teachers.config)
    tokens = torch.from_numpy(tiny_store.ids(tiny_store.split("train")[2])[:32].astype(np.int64))

    def apart(settings: tuple[str, ...], taught_by: Teachers | None) -> float:
        loop = loop_for(tiny_store, tmp_path, *settings, teachers=taught_by)
        take_steps(loop, 20)
        with torch.no_grad():
            logits = loop.model.eval()(tokens[None], num_latents=16)
        taught = asked(teachers, tokens[None])
        return float((taught * (taught.log() - logits.log_softmax(-1)[:, -4:])).sum(-1).mean())

    alone = apart((), None)
    taught = apart(("distillation={share=1.0}",), teachers)
    assert taught < 0.8 * alone
