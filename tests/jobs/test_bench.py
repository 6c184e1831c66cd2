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
from perceiver_music.tokenizer import vocabulary as v


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(bench, "PRIMER_EVENTS", 40)
    monkeypatch.setattr(bench, "NEW_EVENTS", {"int8": 20, "fp32": 20, "torch": 20})
    monkeypatch.setattr(bench, "TRAINING_CONTEXT", 48)
    monkeypatch.setattr(bench, "_wall", lambda words: float(len(words)))
    fields = {"width": 16, "num_heads": 2, "num_layers": 1, "context": 64, "latents": 16}
    torch.manual_seed(0)
    model = build_from_preset(
        "perceiver_ar", "modern", {**fields, "vocabulary_size": v.VOCABULARY_SIZE}
    )
    save_checkpoint(
        tmp_path / "random",
        model,
        name="random",
        tokenizer_name="maestro-performance-400",
        details={"recipe": {}, "data": {}, "metrics": {}, "licence": "none"},
        card="",
        overwrite=False,
    )
    return str(tmp_path / "random")


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
    assert by_name["--help, from the shell"] == 4


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
