"""What docs/reliability.md promises, a share of each small enough for CI.

The full counts: `make faults`, or `python -m benchmarks.faults.run --only NUMBER`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.promises import PROMISES, Promise
from tests.faults.workshop import Workshop


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"{promise.number}")
def test_it_is_kept(promise: Promise, workshop: Workshop) -> None:
    ledger = promise.examine(promise.in_ci, workshop)
    assert ledger.of > 0
    assert ledger.broken == []
    assert ledger.passed == ledger.of
