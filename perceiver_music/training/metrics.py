"""What a run writes down: `metrics.jsonl` always, TensorBoard files when it is installed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from perceiver_music.files import reporting_storage_errors, write_bytes_atomically
from perceiver_music.training.tensorboard_file import TensorBoardFile

METRICS_FILE: Final = "metrics.jsonl"
_TENSORBOARD_FOLDER = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """One line of `metrics.jsonl`.

    Attributes:
        run: the run folder.
        step: optimizer steps done.
        loss_tokens: targets that have counted in the loss so far.
        train_nats_per_event: mean over the steps since the last report; None when there were none.
        validation_nats_per_event: on the validation pieces; None where none was measured.
        loss_tokens_per_second: since the last report.
        rate_factor: of the schedule, on all learning rates.
        context: window length now.
        seconds: time spent training.
        checkpoint: where the weights of this step are, if they were exported.
    """

    run: str
    step: int
    loss_tokens: int
    train_nats_per_event: float | None
    validation_nats_per_event: float | None
    loss_tokens_per_second: float
    rate_factor: float
    context: int
    seconds: float
    checkpoint: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return asdict(self)


class MetricsWriter:
    """Appends reports. Lines beyond the step that a run resumes from are dropped first."""

    def __init__(self, run_folder: Path, *, resumed_at: int) -> None:
        self._path = run_folder / METRICS_FILE
        # What was measured before the first step is measured again.
        self._drop_lines_after(resumed_at or -1)
        self._board = _tensorboard(run_folder / _TENSORBOARD_FOLDER, resumed_at)

    def _drop_lines_after(self, step: int) -> None:
        if not self._path.exists():
            return
        with reporting_storage_errors(self._path):
            lines = self._path.read_bytes().splitlines()
        kept = b"".join(line + b"\n" for line in lines if _step_of(line) <= step)
        write_bytes_atomically(self._path, kept, overwrite=True)

    def write(self, report: TrainingReport) -> None:
        """Append one report."""
        with reporting_storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report.as_json()) + "\n")
        if self._board is None:
            return
        scalars = {
            "nats_per_event/train": report.train_nats_per_event,
            "nats_per_event/validation": report.validation_nats_per_event,
            "loss_tokens_per_second": report.loss_tokens_per_second,
            "rate_factor": report.rate_factor,
        }
        known = {name: value for name, value in scalars.items() if value is not None}
        self._board.add(known, report.step)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return float("inf")  # a line cut off by a crash, or damaged by a disk


def _tensorboard(folder: Path, resumed_at: int) -> TensorBoardFile | None:
    try:
        return TensorBoardFile(folder, resumed_at=resumed_at)
    except ImportError:
        return None
