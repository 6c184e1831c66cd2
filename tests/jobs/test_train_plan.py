"""What a run is made of: other checkpoints' weights and predictions, and what holds after them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import InvalidInputError
from perceiver_music.jobs import train
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.model.checkpoint_description import read_description
from tests.jobs.test_train import SMALL, begin_taught_run, request_for, taught_by

TERMS = "CC-BY-NC-SA-4.0"


def licensed_run(store: TokenStore, folder: Path, licence: str = TERMS) -> Path:
    settings = (*SMALL, f"run.licence={licence}")
    train.run(request_for(store, folder, settings=settings, max_steps=1))
    return folder


def resumed(run_folder: Path, max_steps: int) -> None:
    train.run(TrainRequest(output=run_folder, resume=True, device="cpu", max_steps=max_steps))


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
