"""What a run is made of: other checkpoints' weights and predictions, and what holds after them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import InvalidInputError, UsageError
from perceiver_music.jobs import train
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.checkpoint_description import read_description
from perceiver_music.model.registry import ARCHITECTURES, build_from_preset
from perceiver_music.tokenizer.registry import get_tokenizer
from perceiver_music.training.network import check_network
from perceiver_music.training.recipes import load_recipe, recipe_names
from tests.jobs.test_train import SMALL, begin_taught_run, request_for, taught_by

TERMS = "CC-BY-NC-SA-4.0"


def licensed_run(store: TokenStore, folder: Path, licence: str = TERMS) -> Path:
    settings = (*SMALL, f"run.licence={licence}")
    train.run(request_for(store, folder, settings=settings, max_steps=1))
    return folder


def resumed(run_folder: Path, max_steps: int, *settings: str) -> None:
    fields = {"resume": True, "device": "cpu", "max_steps": max_steps, "settings": settings}
    train.run(TrainRequest(output=run_folder, **fields))


@pytest.mark.parametrize(
    ("own", "expected"),
    [(None, TERMS), (TERMS, TERMS), ("MIT", f"MIT AND {TERMS}")],
)
def test_a_checkpoint_says_what_it_started_from_and_has_its_licence(
    tiny_store: TokenStore, tmp_path: Path, own: str | None, expected: str
) -> None:
    first = licensed_run(tiny_store, tmp_path / "first")
    second = tmp_path / "second"
    settings = SMALL[1:] if own is None else (*SMALL[1:], f"run.licence={own}")
    train.run(request_for(tiny_store, second, settings=settings, init=str(first), max_steps=1))
    source = read_description(first / "checkpoint")
    told = {"name": source.name, "sha256": source.sha256, "licence": TERMS}
    for max_steps in (1, 4):
        if max_steps > 1:
            resumed(second, max_steps)
        fields = read_description(second / "checkpoint").fields
        assert fields["metrics"]["step"] == max_steps
        assert fields["started_from"] == told
        assert fields["licence"] == expected
    card = (second / "checkpoint" / "MODEL_CARD.md").read_text()
    assert f"Started from the weights of {source.name} (checkpoint `{source.sha256[:12]}`" in card
    assert f"Licence of the weights: {expected}\n" in card


def test_a_run_of_its_own_started_from_nothing(tiny_store: TokenStore, tmp_path: Path) -> None:
    fields = read_description(licensed_run(tiny_store, tmp_path / "run") / "checkpoint").fields
    assert fields["licence"] == TERMS
    assert not {"started_from", "teachers", "teachers_sha256"} & set(fields)


def test_what_teachers_are_under_holds_for_what_learned_from_them(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    teachers = [
        licensed_run(tiny_store, tmp_path / name, licence)
        for name, licence in (("one", TERMS), ("other", "CC0-1.0"))
    ]
    taught = tmp_path / "taught"
    train.run(request_for(tiny_store, taught, settings=taught_by(*teachers), max_steps=1))
    described = [read_description(teacher / "checkpoint") for teacher in teachers]
    fields = read_description(taught / "checkpoint").fields
    assert fields["licence"] == f"{TERMS} AND CC0-1.0"
    assert fields["teachers"] == [
        {"name": each.name, "sha256": each.sha256, "licence": each.fields["licence"]}
        for each in described
    ]
    # Where they lie on this machine is nobody's business.
    assert fields["recipe"]["distillation"]["teachers"] == [each.name for each in described]
    assert str(tmp_path) not in (taught / "checkpoint" / "checkpoint.json").read_text()
    card = (taught / "checkpoint" / "MODEL_CARD.md").read_text()
    assert f"Learned from the predictions of {described[0].name} (" in card


def test_a_taught_run_goes_on_in_another_folder(
    tiny_store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, elsewhere = tmp_path / "begun", tmp_path / "elsewhere"
    begun.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(begun)
    train.run(request_for(tiny_store, Path("teacher"), max_steps=1))
    train.run(
        request_for(tiny_store, Path("run"), settings=taught_by(Path("teacher")), max_steps=1)
    )
    monkeypatch.chdir(elsewhere)
    # Another checkpoint of that name must not be taken for the teacher.
    train.run(request_for(tiny_store, Path("teacher"), settings=(*SMALL, "run.seed=2")))
    resumed(begun / "run", 4)
    fields = read_description(begun / "run" / "checkpoint").fields
    assert fields["metrics"]["step"] == 4
    assert fields["recipe"]["distillation"]["teachers"] == ["teacher"]
    assert str(tmp_path) not in (begun / "run" / "checkpoint" / "checkpoint.json").read_text()
    told = json.loads((begun / "run" / "run.json").read_text())["teachers"]
    assert told == {"teacher": os.fspath(begun / "teacher" / "checkpoint")}


def test_teachers_that_moved_are_looked_for_by_name(
    tiny_store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_taught_run(tiny_store, Path())
    (tmp_path / "new").mkdir()
    shutil.move("teacher", "new/teacher")
    monkeypatch.chdir(tmp_path / "new")
    resumed(tmp_path / "run", 8)


def test_a_run_file_with_odd_origins_is_refused(tiny_store: TokenStore, tmp_path: Path) -> None:
    from perceiver_music.sealed_json import sealed, unsealed

    run = licensed_run(tiny_store, tmp_path / "run")
    document = unsealed(json.loads((run / "run.json").read_text()))
    for wrong in ({"started_from": {"name": 1}}, {"started_from": "x"}, {"teachers": ["a"]}):
        (run / "run.json").write_bytes(sealed({**document, **wrong}))
        with pytest.raises(InvalidInputError, match="not the description of a run"):
            resumed(run, 4)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("model.config=3", "model.config: 3 is not a table"),
        ("model.config={width=3}", "unknown setting 'model.config.width'"),
        ("model.config={num_layers=3}", "model.config.[a-z_]+ is not given"),
        ("model.settings.logit_soft_cap=abc", "model.settings.logit_soft_cap: 'abc'"),
        ("model.settings.logit_soft_cap=0.0", "logit_soft_cap is a number above 0"),
        ("model.settings.num_heads=true", "model.settings.num_heads: True is not a whole number"),
        ("model.settings.num_heads=3", "width 16 does not divide into 3 heads"),
        ("model.settings.block=5", "model.settings.block: 5 is not a table"),
        ("model.settings.block.rotary_fraction=abc", "model.settings.block.rotary_fraction: 'abc'"),
        ("model.settings.vocabulary_size=400", "unknown setting 'model.settings.vocabulary_size'"),
        ("model.settings.events={}", "unknown setting 'model.settings.events'"),
        ("model.settings={num_heads=2}", "model.settings.width is not given"),
        ("model.architecture=lstm", "no architecture 'lstm'"),
        ("model.preset=old", "no preset 'old'"),
        ("optimizer.momentum=1.5", "momentum and betas are shares"),
        ("optimizer.weight_decay=nan", "weight_decay and clip_norm are 0 or more"),
        ("windows.contexts=[[0, 32], [9, 65]]", "windows of 65 events, .* model is 64"),
        ("distillation.share=0.5", "distillation.share does nothing without teachers"),
        ("distillation={transpose=2}", "distillation.transpose does nothing"),
    ],
)
def test_a_wrong_setting_of_any_kind_is_a_usage_error_and_leaves_nothing(
    tiny_store: TokenStore, tmp_path: Path, setting: str, named: str
) -> None:
    settings = (*SMALL, setting)
    with pytest.raises(UsageError, match=named):
        train.run(request_for(tiny_store, tmp_path / "run", settings=settings, max_steps=1))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_of_a_run_that_goes_on_is_a_usage_error(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    run = licensed_run(tiny_store, tmp_path / "run")
    for setting in ("run.keep=0", "windows.contexts=[[0, 65]]"):
        request = TrainRequest(output=run, resume=True, device="cpu", settings=(setting,))
        with pytest.raises(UsageError, match=r"keep|65 events") as refused:
            train.run(request)
    # What is fixed in a run that goes on is no way out.
    hint = refused.value.hint or ""
    assert "windows of up to 64" in hint
    assert "model.settings" not in hint


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("run={seed=5}", "run.seed"),
        ('optimizer={kind="adamw"}', "optimizer.kind"),
        ('model={architecture="transformer"}', "model"),
    ],
)
def test_what_makes_another_run_is_refused_in_whatever_words(
    tiny_store: TokenStore, tmp_path: Path, setting: str, named: str
) -> None:
    run = licensed_run(tiny_store, tmp_path / "run")
    before = (run / "run.json").read_bytes()
    with pytest.raises(UsageError, match=f"^{named} cannot change in a run that goes on$"):
        resumed(run, 4, setting)
    assert (run / "run.json").read_bytes() == before


def test_what_is_set_as_it_was_is_no_change(tiny_store: TokenStore, tmp_path: Path) -> None:
    run = licensed_run(tiny_store, tmp_path / "run")
    resumed(run, 4, "run={seed=1}", 'optimizer.kind="muon"', "model.settings.width=16")
    assert read_description(run / "checkpoint").fields["metrics"]["step"] == 4


def test_a_recipe_that_is_wrong_itself_is_no_usage_error(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[model]\nsettings = { width = 16, num_heads = 3 }\n")
    request = request_for(
        tiny_store, tmp_path / "run", recipe=str(recipe), settings=("run.seed=2",)
    )
    with pytest.raises(InvalidInputError, match=r"mine\.toml: the model settings do not fit"):
        train.run(request)


def test_a_recipe_without_a_model_asks_for_a_checkpoint(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    request = request_for(tiny_store, tmp_path / "run", recipe="finetune", settings=())
    with pytest.raises(UsageError, match="no model of its own") as refused:
        train.run(request)
    assert "--init" in (refused.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - {"finetune"}))
def test_every_recipe_has_a_network_that_fits(name: str) -> None:
    for tokenizer in map(get_tokenizer, ("maestro-performance-400", "pedal-performance-623")):
        check_network(load_recipe(name), tokenizer, name)


def test_only_what_counts_events_is_asked_to() -> None:
    settings = ["model.settings={width=16, num_heads=2}", "windows.latents=16"]
    for architecture in ARCHITECTURES:
        other = [*settings, f"model.architecture={architecture}", "model.counts_events=true"]
        config = load_recipe("smoke", other)
        tokenizer = get_tokenizer("maestro-performance-400")
        if architecture == "perceiver_ar":
            check_network(config, tokenizer, "--set")
            continue
        with pytest.raises(InvalidInputError, match=r"model\.counts_events: .* counts no events"):
            check_network(config, tokenizer, "--set")


@pytest.mark.parametrize(
    "settings",
    [(), ("windows.prefix_dropout=0.1",), ("windows.contexts=[[0, 32], [90, 64]]",)],
)
def test_a_run_begun_when_more_was_allowed_goes_on(
    tiny_store: TokenStore, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    from perceiver_music.sealed_json import sealed, unsealed

    run = licensed_run(tiny_store, tmp_path / "run")
    document = unsealed(json.loads((run / "run.json").read_text()))
    document["recipe"]["model"]["settings"]["vocabulary_size"] = 400
    document["recipe"]["windows"]["contexts"] = [[0, 32], [90, 65]]
    for key in ("started_from", "teachers"):
        del document[key]
    (run / "run.json").write_bytes(sealed(document))
    resumed(run, 4, *settings)
    fields = read_description(run / "checkpoint").fields
    assert fields["metrics"]["step"] == 4
    assert fields["licence"] == TERMS


@pytest.mark.parametrize("settings", [(), ("model.settings.block.dropout=0.2",)])
def test_a_checkpoint_of_another_tokenizer_is_no_usage_error(
    tiny_store: TokenStore, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    pedal = get_tokenizer("pedal-performance-623")
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": pedal.vocabulary_size}
    )
    save_checkpoint(
        tmp_path / "pedal",
        model,
        name="pedal",
        tokenizer_name=pedal.name,
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": ""},
        card="",
        overwrite=False,
    )
    request = request_for(
        tiny_store,
        tmp_path / "run",
        settings=(*SMALL[1:], *settings),
        init=str(tmp_path / "pedal"),
    )
    with pytest.raises(InvalidInputError, match="speaks pedal-performance-623, and the store"):
        train.run(request)
