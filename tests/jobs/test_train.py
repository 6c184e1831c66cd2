"""`train` as a job: a run from its first step to its checkpoint, stopped and resumed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from perceiver_music.dataset.token_store import EncodedPiece, TokenStore, write_token_store
from perceiver_music.errors import (
    BusyError,
    InvalidInputError,
    NonFiniteError,
    OutputExistsError,
    StorageError,
    UsageError,
)
from perceiver_music.jobs import train
from perceiver_music.jobs.progress import Progress
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.locks import exclusive_lock
from perceiver_music.model.checkpoint import load_checkpoint, save_checkpoint
from perceiver_music.model.registry import build_from_preset, config_as_dict
from perceiver_music.tokenizer.registry import get_tokenizer
from perceiver_music.training.recipes import load_recipe

SMALL = (
    "model.settings={width=16, num_heads=2, num_layers=1, context=64, latents=16}",
    "windows.latents=16",
    "windows.contexts=[[0, 32]]",
    "windows.windows_per_step=4",
    "run.log_every=2",
    "run.validate_every=4",
    "run.checkpoint_every=4",
    "run.keep=2",
)


def request_for(store: TokenStore, output: Path, **fields: object) -> TrainRequest:
    values = {"recipe": "smoke", "settings": SMALL, "max_steps": 10, "device": "cpu", **fields}
    return TrainRequest(data=store.path, output=output, **values)


def metrics_of(run_folder: Path) -> list[dict]:
    return [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_it_promises(tiny_store: TokenStore, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    progress = []
    result = train.run(request_for(tiny_store, run_folder), progress.append)
    fields = result.as_json()
    assert fields["step"] == 10
    assert fields["run"] == str(run_folder)
    assert fields["validation_nats_per_event"] > 0
    assert fields["checkpoint"] == str(run_folder / "checkpoint")
    # The model is meant for 64, but no window was that long yet.
    assert load_checkpoint(run_folder / "checkpoint").model.context == 32
    assert [line["step"] for line in metrics_of(run_folder)] == [2, 4, 6, 8, 10]
    assert fields.pop("seed") == 1
    sha256 = load_checkpoint(run_folder / "checkpoint").sha256
    assert fields.pop("checkpoint_sha256") == sha256
    assert metrics_of(run_folder)[-1] == fields
    assert [path.name for path in sorted((run_folder / "steps").iterdir())] == [
        "step-00000008",
        "step-00000010",
    ]
    assert progress[-1].done == progress[-1].total == 10


def test_an_excerpt_is_learned_by_heart(tiny_store: TokenStore, tmp_path: Path) -> None:
    piece = tiny_store.split("train")[2]
    ids = tiny_store.ids(piece)[:500]
    assert len(ids) >= 300
    rows = [
        EncodedPiece(
            title="excerpt",
            composer="",
            split=split,
            path="excerpt.mid",
            source_sha256="0" * 64,
            seconds=piece.seconds,
            ids=ids,
            notes=tiny_store.notes(piece),
        )
        for split in ("train", "validation")
    ]
    path = tmp_path / "excerpt.store"
    write_token_store(
        path,
        rows,
        tokenizer_name=tiny_store.tokenizer_name,
        fingerprint=tiny_store.fingerprint,
        overwrite=False,
    )
    request = TrainRequest(data=path, output=tmp_path / "run", recipe="smoke", device="cpu")
    assert train.run(request).as_json()["validation_nats_per_event"] < 0.1


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    train.run(request_for(tiny_store, tmp_path / "whole", max_steps=12))
    twelve = ("schedule.max_steps=12",)
    settings = (*SMALL, *twelve)
    broken = request_for(tiny_store, tmp_path / "parts", max_steps=None, settings=settings)
    interrupted = _Interrupt(at_step=6)
    with pytest.raises(SystemError, match="pulled"):
        train.run(broken, interrupted)
    train.run(TrainRequest(output=tmp_path / "parts", resume=True, device="cpu"))
    for name in ("model", "training"):
        file = f"steps/step-00000012/{name}.safetensors"
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    lines = [
        [line[key] for key in ("step", "loss_tokens", "validation_nats_per_event")]
        for run in ("whole", "parts")
        for line in metrics_of(tmp_path / run)
    ]
    assert lines[:6] == lines[6:]


class _Interrupt:
    """A power cut: an exception out of nowhere, with nothing saved since the last time."""

    def __init__(self, at_step: int) -> None:
        self.at_step = at_step

    def __call__(self, progress: object) -> None:
        if getattr(progress, "done", 0) == self.at_step:
            raise SystemError("the plug was pulled")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_group_saves_and_stops(
    tiny_store: TokenStore, tmp_path: Path, number: signal.Signals, code: int, workers: int
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from perceiver_music.errors import PerceiverMusicError\n"
        "from perceiver_music.jobs.train import run\n"
        "from perceiver_music.jobs.train_request import TrainRequest\n"
        "request = TrainRequest(data=Path(sys.argv[1]), output=Path(sys.argv[2]), recipe='smoke',\n"
        "    settings=tuple(sys.argv[3:]), max_steps=1_000_000, device='cpu')\n"
        "try:\n"
        "    run(request)\n"
        "except PerceiverMusicError as error:\n"
        "    sys.exit(error.exit_code)\n"
    )
    run_folder = tmp_path / "run"
    command = [sys.executable, "-c", program, str(tiny_store.path), str(run_folder), *SMALL]
    command.append(f"run.data_workers={workers}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        while not (run_folder / "metrics.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, number)
        assert process.wait(timeout=60) == code
    newest = max((run_folder / "steps").iterdir()).name
    assert int(newest.removeprefix("step-")) >= metrics_of(run_folder)[-1]["step"]


@pytest.mark.parametrize("checkpoint_every", [1, 10**6])
def test_time_that_is_up_ends_a_run_in_good_order(
    tiny_store: TokenStore, tmp_path: Path, checkpoint_every: int
) -> None:
    request = request_for(
        tiny_store,
        tmp_path / "run",
        settings=(*SMALL, f"run.checkpoint_every={checkpoint_every}"),
        max_steps=10**6,
        max_minutes=0.01,
    )
    step = train.run(request).as_json()["step"]
    assert 0 < step < 10**6
    assert (tmp_path / "run" / "steps" / f"step-{step:08d}").is_dir()


def test_a_run_is_not_begun_over_another(tiny_store: TokenStore, tmp_path: Path) -> None:
    train.run(request_for(tiny_store, tmp_path / "run", max_steps=1))
    with pytest.raises(OutputExistsError):
        train.run(request_for(tiny_store, tmp_path / "run"))
    with pytest.raises(StorageError, match="no such run"):
        train.run(TrainRequest(output=tmp_path / "other", resume=True))
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidInputError, match="no run"):
        train.run(TrainRequest(output=tmp_path / "other", resume=True))


def test_two_processes_do_not_train_one_run(tiny_store: TokenStore, tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "run"), pytest.raises(BusyError):
        train.run(request_for(tiny_store, tmp_path / "run"))


def test_another_store_is_not_what_the_run_was_trained_on(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    train.run(request_for(tiny_store, tmp_path / "run", max_steps=1))
    other = tmp_path / "other.store"
    rows = [
        EncodedPiece(
            title="",
            composer="",
            split=piece.split,
            path=piece.path,
            source_sha256=piece.source_sha256,
            seconds=piece.seconds,
            ids=tiny_store.ids(piece),
            notes=tiny_store.notes(piece),
        )
        for piece in tiny_store.pieces[1:]
    ]
    write_token_store(
        other,
        rows,
        tokenizer_name=tiny_store.tokenizer_name,
        fingerprint=tiny_store.fingerprint,
        overwrite=False,
    )
    with pytest.raises(InvalidInputError, match="not the store"):
        train.run(TrainRequest(data=other, output=tmp_path / "run", resume=True, max_steps=2))


def test_a_checkpoint_can_be_trained_further(tiny_store: TokenStore, tmp_path: Path) -> None:
    train.run(request_for(tiny_store, tmp_path / "first"))
    first = load_checkpoint(tmp_path / "first" / "checkpoint").model
    frozen = ("optimizer.kind=adamw", "optimizer.matrix_rate=0.0", "windows.contexts=[[0, 96]]")
    frozen += ("optimizer.embedding_rate=0.0", "optimizer.output_rate=0.0", "windows.latents=16")
    request = TrainRequest(
        data=tiny_store.path,
        output=tmp_path / "second",
        recipe="smoke",
        settings=frozen,
        init=str(tmp_path / "first"),
        max_steps=1,
        device="cpu",
    )
    train.run(request)
    train.run(TrainRequest(output=tmp_path / "second", resume=True, max_steps=2, device="cpu"))
    second = load_checkpoint(tmp_path / "second" / "checkpoint").model
    # The model is the checkpoint's, not the recipe's, but for windows that have become longer.
    assert second.context == 96
    assert second.config == dataclasses.replace(first.config, context=96)
    start = first.state_dict()
    assert all(torch.equal(start[name], weight) for name, weight in second.state_dict().items())


def test_what_is_trained_further_ends_no_worse_than_it_began(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    train.run(request_for(tiny_store, tmp_path / "first"))
    start = load_checkpoint(tmp_path / "first" / "checkpoint").model.state_dict()
    ruinous = ("optimizer.kind=adamw", "optimizer.matrix_rate=3.0", "optimizer.output_rate=3.0")
    request = TrainRequest(
        data=tiny_store.path,
        output=tmp_path / "second",
        recipe="smoke",
        settings=(*ruinous, *SMALL[1:], "run.validate_first=true"),
        init=str(tmp_path / "first"),
        max_steps=3,
        device="cpu",
    )
    told: list[str] = []
    second = train.run(request, lambda progress: told.append(progress.message))
    assert told[0].startswith("validation ")
    assert "events/s" not in told[0]  # nothing was trained yet
    assert "events/s" in told[-1]
    rows = metrics_of(tmp_path / "second")
    assert [row["step"] for row in rows] == [0, 2, 3]
    assert rows[0]["train_nats_per_event"] is None
    assert second.as_json()["validation_nats_per_event"] > rows[0]["validation_nats_per_event"]
    kept = load_checkpoint(tmp_path / "second" / "checkpoint").model.state_dict()
    assert all(torch.equal(start[name], weight) for name, weight in kept.items())


def test_a_run_whose_folder_is_taken_away_says_so(tiny_store: TokenStore, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"

    def take_away(progress: Progress) -> None:
        if progress.done == 5 and run_folder.exists():
            run_folder.rename(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="moved or removed"):
        train.run(request_for(tiny_store, run_folder), take_away)
    assert not (run_folder / "steps").exists()
    found = train.run(TrainRequest(output=tmp_path / "elsewhere", resume=True, device="cpu"))
    assert found.as_json()["step"] == 10


def test_a_weight_that_the_last_step_ruined_is_not_kept(
    tiny_store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perceiver_music.training.loop import TrainingLoop

    step, run_folder = TrainingLoop.train_step, tmp_path / "run"

    def ruin(loop: TrainingLoop) -> None:
        step(loop)
        with torch.no_grad():
            next(loop.model.parameters())[0] = float("nan")

    monkeypatch.setattr(TrainingLoop, "train_step", ruin)
    monkeypatch.setattr(TrainingLoop, "validate", lambda *_, **__: None)
    with pytest.raises(NonFiniteError, match="a weight"):
        train.run(request_for(tiny_store, run_folder, max_steps=1))
    assert not (run_folder / "checkpoint").exists()


def test_the_model_of_a_checkpoint_is_not_set(tiny_store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model is the checkpoint's"):
        train.run(
            TrainRequest(
                data=tiny_store.path,
                output=tmp_path / "run",
                recipe="smoke",
                settings=("model.settings.width=32",),
                init="maestro",
            )
        )


def test_what_a_recipe_says_of_a_model_does_not_matter_to_one_that_goes_on(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    train.run(request_for(tiny_store, tmp_path / "first", max_steps=1))
    recipe = tmp_path / "odd.toml"
    recipe.write_text('name = "odd"\n[model]\nsettings = { block = 5 }\n')
    init = str(tmp_path / "first" / "checkpoint")
    fields = {"recipe": str(recipe), "settings": SMALL[1:], "max_steps": 1, "init": init}
    train.run(request_for(tiny_store, tmp_path / "second", **fields))
    assert (tmp_path / "second" / "checkpoint").is_dir()


def test_the_dropout_of_a_checkpoint_is_set(tiny_store: TokenStore, tmp_path: Path) -> None:
    train.run(request_for(tiny_store, tmp_path / "first", max_steps=1))
    run_folder = tmp_path / "second"

    def go_on(dropout: str) -> None:
        settings = (*SMALL[1:], f"model.settings.block.dropout={dropout}")
        init = str(tmp_path / "first" / "checkpoint")
        train.run(request_for(tiny_store, run_folder, settings=settings, max_steps=1, init=init))

    with pytest.raises(UsageError, match="dropout is 2"):
        go_on("2")
    with pytest.raises(UsageError, match="dropout is 'x'"):
        go_on('"x"')
    go_on("0.25")
    model = load_checkpoint(run_folder / "checkpoint", torch.device("cpu")).model
    assert config_as_dict(model)["block"]["dropout"] == 0.25


@pytest.mark.parametrize(
    "fields",
    [
        {"resume": True, "recipe": "smoke"},
        {"max_steps": 0},
        {"max_minutes": 0.0},
        {"max_minutes": -1.0},
        {"max_minutes": float("nan")},
        {"max_minutes": float("inf")},
        {"precision": "fp16"},
    ],
)
def test_requests_that_make_no_sense_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TrainRequest(**fields)


def test_the_model_cannot_change_in_a_run_that_goes_on(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    train.run(request_for(tiny_store, tmp_path / "run", max_steps=1))
    change = ("model.settings.width=32",)
    with pytest.raises(UsageError, match="cannot change"):
        train.run(TrainRequest(output=tmp_path / "run", resume=True, settings=change))


def test_a_run_that_is_done_is_not_resumed(tiny_store: TokenStore, tmp_path: Path) -> None:
    train.run(request_for(tiny_store, tmp_path / "run", max_steps=2))
    with pytest.raises(UsageError, match="at step 2 already"):
        train.run(TrainRequest(output=tmp_path / "run", resume=True))


def test_without_data_the_only_store_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="0 token stores"):
        train.run(TrainRequest(recipe="smoke", device="cpu"))


def taught_by(*teachers: Path, share: float = 0.5) -> tuple[str, ...]:
    names = ", ".join(f'"{teacher}"' for teacher in teachers)
    return (*SMALL, f"distillation={{teachers=[{names}], share={share}, transpose=1}}")


def begin_taught_run(store: TokenStore, folder: Path) -> tuple[Path, Path]:
    """A teacher, and a run of four steps that learns from it."""
    teacher, run_folder = folder / "teacher", folder / "run"
    train.run(request_for(store, teacher, max_steps=4))
    train.run(request_for(store, run_folder, settings=taught_by(teacher), max_steps=4))
    return teacher, run_folder


def test_a_run_learns_from_checkpoints_and_says_which(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    teacher, run_folder = begin_taught_run(tiny_store, tmp_path)
    whole = tmp_path / "whole"
    train.run(request_for(tiny_store, whole, settings=taught_by(teacher)))
    more = TrainRequest(output=run_folder, resume=True, device="cpu", max_steps=10)
    assert train.run(more).report.step == 10
    sha256 = load_checkpoint(teacher / "checkpoint").sha256
    for run in (run_folder, whole):
        described = load_checkpoint(run / "checkpoint").description
        assert described.fields["teachers_sha256"] == [sha256]
    assert sha256[:12] in (whole / "checkpoint" / "MODEL_CARD.md").read_text()
    assert described.fields["recipe"]["distillation"]["share"] == 0.5
    alone = tmp_path / "alone"
    train.run(request_for(tiny_store, alone))
    assert "teachers_sha256" not in load_checkpoint(alone / "checkpoint").description.fields
    weights = [load_checkpoint(run / "checkpoint").model.state_dict() for run in (whole, alone)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_run_whose_teachers_have_changed_is_not_gone_on_with(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    teacher, run_folder = begin_taught_run(tiny_store, tmp_path)
    train.run(TrainRequest(output=teacher, resume=True, device="cpu", max_steps=8))
    more = TrainRequest(output=run_folder, resume=True, device="cpu", max_steps=10)
    with pytest.raises(InvalidInputError, match="not those that it learned from"):
        train.run(more)


def test_teachers_that_cannot_teach_are_refused_by_name(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    teacher = tmp_path / "teacher"
    train.run(request_for(tiny_store, teacher, max_steps=2))
    with pytest.raises(StorageError, match="there is no such checkpoint"):
        train.run(request_for(tiny_store, tmp_path / "run", settings=taught_by(tmp_path / "none")))
    wide = ("windows.latents=32", "model.settings.latents=32")
    with pytest.raises(InvalidInputError, match="16 positions, and the windows have 32"):
        train.run(request_for(tiny_store, tmp_path / "run", settings=(*taught_by(teacher), *wide)))
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    pedal = get_tokenizer("pedal-performance-623")
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": pedal.vocabulary_size}
    )
    details = {"recipe": {}, "data": {}, "metrics": {}, "licence": ""}
    save_checkpoint(
        tmp_path / "pedal",
        model,
        name="pedal",
        tokenizer_name=pedal.name,
        details=details,
        card="",
        overwrite=False,
    )
    with pytest.raises(InvalidInputError, match="the teacher speaks pedal-performance-623"):
        train.run(request_for(tiny_store, tmp_path / "run", settings=taught_by(tmp_path / "pedal")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["share=0.0", "share=1.5", "transpose=-1", "transpose=13"])
def test_a_distillation_out_of_range_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=setting.partition("=")[0]):
        load_recipe("smoke", [f"distillation.{setting}"])
