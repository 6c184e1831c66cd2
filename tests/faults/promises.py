"""The table of promises: what is examined, how, and how often in CI and in full.

`test_promises.py` runs the share for CI, `benchmarks/faults/run.py` the whole. A new promise is one
row here and one module with an `examine(ledger, size, workshop)`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from tests.faults.ledger import Ledger
from tests.faults.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One row.

    Attributes:
        number: as in docs/reliability.md.
        title: what is promised.
        module: beside this file.
        in_ci: how large the examination is in CI.
        in_full: how large it is by `make faults`.
    """

    number: int
    title: str
    module: str
    in_ci: int
    in_full: int

    def examine(self, size: int, workshop: Workshop) -> Ledger:
        """Examine it; `size` means what the module says."""
        ledger = Ledger()
        importlib.import_module(f"tests.faults.{self.module}").examine(ledger, size, workshop)
        return ledger


def _row(number: int, title: str, module: str, in_ci: int, in_full: int) -> Promise:
    return Promise(number=number, title=title, module=module, in_ci=in_ci, in_full=in_full)


PROMISES = (
    _row(1, "Killed anywhere, training ends the same", "killed_training", 3, 50),
    _row(2, "A failed read or write leaves old or new, whole", "failing_storage", 2, 10_000),
    _row(3, "Corruption is never used", "corruption", 40, 1_000),
    _row(4, "The last good checkpoint is never thrown away", "retention", 2, 50),
    _row(5, "Interruption loses nothing", "interruption", 4, 100),
    _row(6, "No NaN reaches the disk", "non_finite", 6, 60),
    _row(7, "Data order is a pure function of seed and step", "data_order", 25, 500),
    _row(8, "No file runs code", "hostile_files", 6, 1_000),
    _row(9, "Archives stay inside", "archives", 1_000, 1_000),
    _row(10, "Any bytes are a MIDI file or are refused", "any_bytes", 2_000, 200_000),
    _row(11, "Work is linear in the input", "bombs", 17, 1_000),
    _row(12, "Any event sequence decodes", "any_events", 1_000, 100_000),
    _row(13, "Rendering is bounded", "rendering", 10, 500),
    _row(14, "Never overwritten silently", "no_overwrite", 6, 500),
    _row(15, "A batch goes on", "batches", 1, 50),
    _row(16, "Odd surroundings", "surroundings", 12, 1_000),
    _row(17, "One store, many processes", "one_store", 1, 20),
    _row(18, "A store changed under a reader is noticed", "changed_store", 40, 1_000),
    _row(19, "What we install is what we named", "supply", 1, 1_000),
    _row(20, "Live ports leave no note hanging, and nothing grows", "live_ports", 10, 1_000),
)
