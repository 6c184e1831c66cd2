"""Scalars for TensorBoard, written at once: no thread of its own that dies with a traceback."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceiver_music.files import reporting_storage_errors


class TensorBoardFile:
    """One event file in a folder; a resumed run adds another.

    Args:
        folder: of the event files; made when it is not there.
        resumed_at: the step that a run goes on from; what earlier files say of later steps is
            taken back.

    Raises:
        ImportError: TensorBoard is not installed.
        StorageError: it cannot be written.
    """

    def __init__(self, folder: Path, *, resumed_at: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event: Any = event_pb2.Event
        self._summary: Any = summary_pb2.Summary
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        with reporting_storage_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("xb", buffering=0)
        self._records = RecordWriter(self._stream)
        self._write(file_version="brain.Event:2")
        if resumed_at:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=resumed_at + 1, session_log=start)

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Write scalars of one step.

        Raises:
            StorageError: it cannot be written.
        """
        values = [
            self._summary.Value(tag=name, simple_value=value) for name, value in scalars.items()
        ]
        self._write(step=step, summary=self._summary(value=values))

    def close(self) -> None:
        """Close the file."""
        with reporting_storage_errors(self._path):
            self._stream.close()

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        with reporting_storage_errors(self._path):
            self._records.write(event.SerializeToString())
