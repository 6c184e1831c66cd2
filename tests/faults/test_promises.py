"""What docs/reliability.md promises, a share of each small enough for CI.

The full counts: `make faults`, or `python -m benchmarks.faults.run --only NUMBER`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import supply
from tests.faults.ledger import Ledger
from tests.faults.promises import PROMISES, Promise
from tests.faults.workshop import Workshop


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"{promise.number}")
def test_it_is_kept(promise: Promise, workshop: Workshop) -> None:
    judge(promise.examine(promise.in_ci, workshop))


def judge(ledger: Ledger) -> None:
    """Kept in all that was tried; what could not be tried is told as a test that was skipped."""
    assert ledger.of > 0
    assert ledger.broken == []
    assert ledger.passed == ledger.of
    if ledger.left_out:
        pytest.skip(f"kept in {ledger.of} trials, but {'; '.join(ledger.left_out)}")


def test_what_cannot_be_tried_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = subprocess.CompletedProcess([], returncode=1, stdout="", stderr="no route to host")
    monkeypatch.setattr(supply, "_pip", lambda *_: nothing)
    monkeypatch.setattr(supply.subprocess, "run", lambda *_, **__: nothing)
    ledger = Ledger()
    supply.planted_hash(ledger, tmp_path, "1.0", ["0" * 64])
    supply.audit(ledger)
    assert (ledger.of, ledger.broken) == (0, [])
    ledger.enter(True, "another")
    with pytest.raises(pytest.skip.Exception, match=r"planted hash: not tried.*audit: not audited"):
        judge(ledger)
