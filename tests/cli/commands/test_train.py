"""`train` and `evaluate`, from outside, on a model of a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

TINY = [
    *("--recipe", "smoke", "--device", "cpu", "--max-steps", "2"),
    *(
        "--set",
        "model.settings={ width = 16, num_heads = 2, num_layers = 1, context = 64, latents = 16 }",
    ),
    *("--set", "windows.latents=16", "--set", "windows.contexts=[[0, 64]]"),
    *("--set", "schedule.warmup_steps=1", "--set", "run.log_every=1"),
]


@pytest.fixture
def store(run: Run, write_midi: Callable[..., Path]) -> Path:
    for seed in range(4):
        write_midi(f"music/{seed}.mid", seed=seed, num_notes=60)
    run("preprocess", "music", "--workers", "1").succeeded()
    return Path("data/music.store")


def test_train_alone_finds_its_store_and_its_folder(run: Run, store: Path) -> None:
    outcome = run("train", *TINY).succeeded()
    assert outcome.lines == ["runs/smoke-1"]
    assert "device: cpu" in outcome.error_lines
    assert "2/2 steps" in outcome.stderr
    assert (Path("runs/smoke-1") / "checkpoint").is_dir()


def test_its_object_is_the_last_line_of_its_metrics(run: Run, store: Path) -> None:
    fields = run("train", *TINY, "--data", store, "--output", "r", "--json", "-q").object
    assert fields["schema"] == "train/1"
    assert (fields["inputs"], fields["outputs"]) == ([str(store)], ["r"])
    last = json.loads(Path("r/metrics.jsonl").read_text().splitlines()[-1])
    for name in ("run", "step", "loss_tokens", "train_nats_per_event", "checkpoint"):
        assert fields[name] == last[name]
    for name in ("validation_nats_per_event", "loss_tokens_per_second"):
        assert name in fields


def test_a_run_is_not_overwritten_but_resumed(run: Run, store: Path) -> None:
    run("train", *TINY, "--output", "r").succeeded()
    run("train", *TINY, "--output", "r").failed(73)
    fields = run("train", "--resume", "--output", "r", "--max-steps", "3", "--json").object
    assert fields["step"] == 3
    outcome = run("train", *TINY, "--output", "s", "--max-minutes", "1e-9").succeeded()
    assert outcome.error_lines[-1] == (
        "stopped after 1 of 2 steps; go on with: perceiver-music train --resume --output s"
    )
    run("train", "--resume", "--recipe", "smoke").failed(2)


def test_wrong_requests(run: Run, store: Path) -> None:
    run("train", "--data", "missing.store").failed(74)
    run("train", "--recipe", "nope").failed(2)
    run("train", *TINY, "--set", "run.nope=1").failed(2)
    run("train", *TINY, "--set", "nonsense").failed(2)
    run("train", *TINY, "--device", "abacus").failed(2)
    run("train", *TINY, "--max-minutes", "0").failed(2)
    run("train", *TINY, "--max-minutes", "nan").failed(2)
    refused = run("train", *TINY, "--precision", "fp16").failed(2)
    assert refused.error_lines == [
        "error: --precision is auto, fp32 or bf16, not 'fp16'",
        "hint: See 'perceiver-music train --help'.",
    ]
    Path("file").write_bytes(b"mine")
    refused = run("train", *TINY, "--output", "file").failed(73)
    assert "error: file: exists already, and is not a folder" in refused.error_lines
    assert "--output - cannot carry a run" in run("train", *TINY, "-o", "-").failed(2).stderr
    assert not Path("runs").exists()
    store.write_bytes(b"junk")
    run("train", *TINY, "--data", store).failed(65)


def test_evaluate_a_store(run: Run, store: Path, checkpoint: Path) -> None:
    arguments = ("evaluate", "--checkpoint", checkpoint, "--data", store, "--split", "train")
    run(*arguments, "--per-event").failed(2)
    fields = run(*arguments, "--json", "--per-event").succeeded().object
    assert fields["schema"] == "evaluate/1"
    assert fields["checkpoint"] == "tiny"
    assert len(fields["checkpoint_sha256"]) == 64
    assert fields["pieces"] == len(fields["per_piece"])
    for piece in fields["per_piece"]:
        assert len(piece["nats"]) == piece["events"]
    for name in ("nats_per_event", "nats_per_note", "nats_per_second"):
        assert fields[name] > 0
    shorter = run(
        *arguments, "--context", "64", "--latents", "16", "--stride", "8", "--json"
    ).object
    assert (shorter["context"], shorter["latents"], shorter["stride"]) == (64, 16, 8)
    assert run(*arguments, "--max-pieces", "1", "--json").object["pieces"] == 1
    table = run(*arguments).succeeded()
    assert any(line.startswith("nats per event") for line in table.lines)


def test_evaluate_files(run: Run, write_midi: Callable[..., Path], checkpoint: Path) -> None:
    write_midi("a.mid", seed=1)
    write_midi("b.mid", seed=2)
    fields = run("evaluate", "*.mid", "--checkpoint", checkpoint, "--json").succeeded().object
    assert [piece["path"] for piece in fields["per_piece"]] == ["a.mid", "b.mid"]
    arguments = ("evaluate", "*.mid", "--checkpoint", checkpoint, "--max-pieces", "1", "--json")
    fewer = run(*arguments).succeeded()
    assert fewer.stderr.count("--split") == 0
    for name, expected in (("source", "a.mid"), ("inputs", ["a.mid"]), ("pieces", 1)):
        assert fewer.object[name] == expected
    alone = run("evaluate", "a.mid", "--checkpoint", checkpoint, "--json").succeeded().object
    assert fewer.object["source_sha256"] == alone["source_sha256"]
    told = run(*arguments, "--split", "train").succeeded()
    assert "--split is of a store" in told.stderr
    assert told.object["nats_per_event"] == fewer.object["nats_per_event"]


def test_evaluate_a_file_on_stdin(
    run: Run, write_midi: Callable[..., Path], checkpoint: Path
) -> None:
    path = write_midi("a.mid", seed=1)
    words = ("--checkpoint", checkpoint, "--json")
    named = run("evaluate", "a.mid", *words).succeeded().object
    piped = run("evaluate", "-", *words, stdin=path.read_bytes()).succeeded().object
    assert piped["inputs"] == ["-"]
    assert piped["source"] == piped["per_piece"][0]["path"] == "-"
    assert piped["source_sha256"] == named["source_sha256"]
    assert piped["nats_per_event"] == named["nats_per_event"]
    both = run("evaluate", "a.mid", "-", *words, stdin=path.read_bytes()).succeeded().object
    assert both["inputs"] == ["a.mid", "-"]
    assert run("evaluate", "-", *words, stdin=b"MThd and no more").failed(65).object["inputs"] == []


def test_a_bad_file_is_not_in_the_way(
    run: Run, write_midi: Callable[..., Path], checkpoint: Path
) -> None:
    write_midi("a.mid", seed=1)
    Path("bad.mid").write_bytes(b"junk")
    arguments = ("evaluate", "bad.mid", "--checkpoint", checkpoint, "--json")
    bad, good = run(*arguments, "a.mid").failed(3).objects
    assert bad["error"]["path"] == "bad.mid"
    assert [piece["path"] for piece in good["per_piece"]] == ["a.mid"]
    run(*arguments, "gone.mid").failed(3)


def test_wrong_evaluations(run: Run, write_midi: Callable[..., Path], checkpoint: Path) -> None:
    write_midi("a.mid")
    run("evaluate", "a.mid", "--data", "x.store", "--checkpoint", checkpoint).failed(2)
    run("evaluate", "missing.mid", "--checkpoint", checkpoint).failed(74)
    run("evaluate", "a.mid", "--checkpoint", "nope").failed(74)
    run("evaluate", "a.mid", "--checkpoint", checkpoint, "--split", "tset").failed(2)
    run("evaluate", "a.mid", "--checkpoint", checkpoint, "--context", "0").failed(2)
    Path("bad.mid").write_bytes(b"junk")
    run("evaluate", "bad.mid", "--checkpoint", checkpoint).failed(65)


def test_models(run: Run, checkpoint: Path) -> None:
    Path("checkpoints").symlink_to(checkpoint.parent)
    assert any(line.startswith("tiny") for line in run("models", "list").succeeded().lines)
    rows = run("models", "list", "--json").object["models"]
    [row] = [row for row in rows if row["name"] == "tiny"]
    assert row["problem"] is None
    for word in ("tiny", checkpoint):
        shown = run("models", "info", word, "--json").succeeded().object
        assert shown["checkpoint"] == "tiny"
        assert shown["description"]["licence"] == "CC0-1.0"
        assert shown["checkpoint_sha256"] == row["sha256"]
    assert any("CC0-1.0" in line for line in run("models", "info", "tiny").lines)
    assert "whole" in run("models", "verify", "tiny").succeeded().lines[0]
    run("models", "info", "nope").failed(74)


def test_a_damaged_model_is_found(run: Run, checkpoint: Path) -> None:
    import shutil

    shutil.copytree(checkpoint, "damaged")
    weights = Path("damaged/model.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    outcome = run("models", "verify", "damaged", "--json").failed(65)
    assert outcome.object["error"]["path"] == "damaged"


def test_the_help_names_every_recipe(run: Run) -> None:
    from perceiver_music.training.recipes import recipe_names

    text = "".join(run("train", "--help").succeeded().stdout.decode().split())
    named = text.partition("Acompleterun:")[2].partition(",orafile")[0]
    assert sorted(named.split(",")) == sorted(recipe_names())
