"""Settings that the recipe does not have, or that it takes other values for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_music.dataset.token_store import TokenStore
from perceiver_music.errors import UsageError
from perceiver_music.jobs import train
from perceiver_music.jobs.train_request import TrainRequest
from perceiver_music.jobs.train_settings import check_settings
from tests.jobs.test_train import SMALL, request_for

CHECKOUT = Path(__file__).resolve().parents[2]
OF_LAPTOP = "Give a value like that of the recipe laptop: --set "


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("model.width=7", "'model.width'", "Did you mean model.settings.width?"),
        ("max_steps=7", "'max_steps'", "Did you mean schedule.max_steps?"),
        ("schedule.max_steps=abc", "'abc' is not a whole", f"{OF_LAPTOP}schedule.max_steps=3050."),
        ("schedule.max_steps=-3", "max_steps is 1 or more", f"{OF_LAPTOP}schedule.max_steps=3050."),
        ("run.precision=fp16", "not 'fp16'", f"{OF_LAPTOP}run.precision=auto."),
        ("run.compile=yes", "not true or false", f"{OF_LAPTOP}run.compile=false."),
        ("optimizer.betas=1", "not a list", f"{OF_LAPTOP}'optimizer.betas=[0.8,0.95]'."),
        ("model.settings=3", "not a table", "model.settings.width, model.settings.num_heads"),
        ("nonsense", "'nonsense' is not key=value", "For example run.seed=2."),
        ("foo=1", "unknown setting 'foo'", "Known here: distillation, model,"),
    ],
)
def test_a_hint_names_what_is_right(setting: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_settings(TrainRequest(settings=("run.seed=2", setting)))
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_what_one_of_the_default_recipes_takes_is_not_refused() -> None:
    longer_than_the_windows_of_laptop = ("windows.latents=1200",)
    check_settings(TrainRequest(settings=longer_than_the_windows_of_laptop))
    with pytest.raises(UsageError, match="to the shortest context"):
        check_settings(TrainRequest(recipe="laptop", settings=longer_than_the_windows_of_laptop))
    with pytest.raises(UsageError, match="no recipe 'nope'"):
        check_settings(TrainRequest(recipe="nope"))


def test_a_run_that_goes_on_is_asked_for_its_own_recipe(
    tiny_store: TokenStore, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train.run(request_for(tiny_store, run, settings=SMALL, max_steps=1))
    check_settings(TrainRequest(output=run, resume=True, settings=("run.log_every=3",)))
    with pytest.raises(UsageError, match="not a whole number") as caught:
        check_settings(TrainRequest(output=run, resume=True, settings=("run.log_every=x",)))
    assert caught.value.hint is not None
    assert f"{run}/run.json: --set run.log_every=2." in caught.value.hint


@pytest.mark.parametrize("words", [("--set", "foo=1"), ("--recipe", "nope"), ("--max-steps", "0")])
def test_a_wrong_word_is_told_before_torch_is_imported(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom perceiver_music.cli.app import run\n"
        "code = run(sys.argv[1:])\nassert 'torch' not in sys.modules\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "train", *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
