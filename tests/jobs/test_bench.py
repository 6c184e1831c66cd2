"""`bench` on a model so small that it takes no time: what is measured, and how it is told."""

import json
from pathlib import Path

import pytest
import torch

from perceiver_music.cli.app import run
from perceiver_music.cli.commands.bench import _bar
from perceiver_music.jobs import bench
from perceiver_music.model.checkpoint import save_checkpoint
from perceiver_music.model.checkpoint_description import read_description
from perceiver_music.model.native.library import kernel_names
from perceiver_music.model.registry import build_from_preset
from perceiver_music.tokenizer.registry import get_tokenizer

PEDAL = "pedal-performance-623"
MAESTRO = "maestro-performance-400"
from_the_shell = bench._wall


@pytest.fixture(autouse=True)
def so_short_that_it_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PRIMER_EVENTS", 40)
    monkeypatch.setattr(bench, "NEW_EVENTS", {"int8": 20, "fp32": 20, "torch": 20})
    monkeypatch.setattr(bench, "TRAINING_CONTEXT", 48)
    monkeypatch.setattr(bench, "_wall", lambda words: float(len(words)))


def saved(folder: Path, architecture: str = "perceiver_ar", tokenizer: str = MAESTRO) -> str:
    """A checkpoint of random weights."""
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64}
    fields |= {"latents": 16} if architecture == "perceiver_ar" else {}
    fields["vocabulary_size"] = get_tokenizer(tokenizer).vocabulary_size
    torch.manual_seed(0)
    save_checkpoint(
        folder,
        build_from_preset(architecture, "modern", fields),
        name="random",
        tokenizer_name=tokenizer,
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return str(folder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    return saved(tmp_path / "random")


def test_every_part_is_measured(checkpoint: str) -> None:
    threads = torch.get_num_threads()
    told = []
    result = bench.run(checkpoint, rounds=1, on_progress=told.append)
    assert torch.get_num_threads() == threads
    assert told[0].message == "decoding"
    names = [figure.name for figure in result.results]
    assert {"decoding, torch", "tokenizing", "--help, from the shell"} <= set(names)
    assert ("decoding, int8" in names) == bool(kernel_names())
    assert all(figure.value > 0 for figure in result.results)
    assert all((figure.ratio is None) == (figure.against is None) for figure in result.results)
    by_name = {figure.name: figure.value for figure in result.results}
    assert by_name["--help, from the shell"] == len(
        ["python", "-P", "-m", "perceiver_music", "--help"]
    )
    assert (result.left_out is None) == bool(kernel_names())


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "why"),
    [
        ("transformer", MAESTRO, "only a Perceiver AR"),
        ("transformer_xl", MAESTRO, "only a Perceiver AR"),
        ("perceiver_ar", PEDAL, "another vocabulary"),
    ],
)
def test_decoders_that_a_checkpoint_cannot_have_are_left_out(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    architecture: str,
    tokenizer: str,
    why: str,
) -> None:
    folder = saved(tmp_path / "other", architecture, tokenizer)
    result = bench.run(folder, rounds=1)
    decoded = [each.name for each in result.results if each.name.startswith("decoding")]
    assert decoded == ["decoding, torch"]
    assert result.decoder == "torch"
    assert result.left_out is not None
    if kernel_names():
        assert why in result.left_out
    assert run(["bench", "--rounds", "1", "--checkpoint", folder]) == 0
    assert result.left_out in " ".join(capsys.readouterr().err.split())


def test_the_opening_is_of_the_checkpoints_tokens(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pedal", tokenizer=PEDAL)
    opening = bench._opening(read_description(folder))
    kinds = {opening.vocabulary.describe(token)[0] for token in opening.tokens}
    assert opening.vocabulary.size == get_tokenizer(PEDAL).vocabulary_size
    assert {"PEDAL", "NOTE_ON", "VELOCITY"} <= kinds


def test_files_of_the_current_folder_are_not_taken_for_modules(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "_wall", from_the_shell)
    monkeypatch.setattr(bench, "STARTUP_EVENTS", 5)
    assert all(figure.value > 0 for figure in bench._startup(Path(checkpoint), 1))


def test_json_has_the_fields_that_others_read(
    checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "--json", "--rounds", "1", "--checkpoint", checkpoint]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "bench/1"
    assert {"hardware", "threads", "results"} <= set(answer)
    assert answer["checkpoint"] == "random"
    assert answer["checkpoint_sha256"] == read_description(checkpoint).sha256
    assert {"name", "value", "unit", "against", "ratio"} == set(answer["results"][0])


def test_a_person_gets_a_picture(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--rounds", "1", "--checkpoint", checkpoint]) == 0
    answer = capsys.readouterr().out
    assert "a piece of 39.8 events/s" in answer
    assert "█" in answer


def test_bars_are_in_proportion() -> None:
    assert _bar(100.0, 100.0) == "█" * 24
    assert _bar(10.0, 100.0) == "█" * 12
    assert _bar(1.0, 100.0) == _bar(0.5, 100.0) == _bar(1.0, 1.0) == ""
