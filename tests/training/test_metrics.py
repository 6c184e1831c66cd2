"""What a run writes down, and what is left of it when the run goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from perceiver_music.training.metrics import METRICS_FILE, MetricsWriter, TrainingReport

REPORT = TrainingReport(
    run="r",
    step=0,
    loss_tokens=0,
    train_nats_per_event=None,
    validation_nats_per_event=None,
    loss_tokens_per_second=1.0,
    rate_factor=1.0,
    context=64,
    seconds=0.0,
)


def write(folder: Path, *steps: int, resumed_at: int = 0) -> None:
    writer = MetricsWriter(folder, resumed_at=resumed_at)
    for step in steps:
        writer.write(replace(REPORT, step=step))
    writer.close()


def steps_of(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / METRICS_FILE).read_text().splitlines()]


def test_what_lies_beyond_the_step_that_a_run_goes_on_from_is_measured_again(
    tmp_path: Path,
) -> None:
    write(tmp_path, 0, 10, 20, 30)
    write(tmp_path, 25, resumed_at=20)
    assert steps_of(tmp_path) == [0, 10, 20, 25]
    write(tmp_path, 0, 10, resumed_at=0)
    assert steps_of(tmp_path) == [0, 10]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00{",
        b'{"step": 5, "run": "\xe9"}',
        b'{"step": 2',
        b"[" * 200_000,
        b'{"step": 1' + b"0" * 400 + b"}",
        b'{"step": null}',
        b"3",
        b"",
    ],
    ids=lambda line: str(line[:20]),
)
def test_a_damaged_line_is_dropped_and_the_others_stay(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, 10)
    file = tmp_path / METRICS_FILE
    file.write_bytes(line + b"\n" + file.read_bytes() + line)
    write(tmp_path, 20, resumed_at=10)
    assert steps_of(tmp_path) == [10, 20]
