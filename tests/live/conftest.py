"""The in-process backend under the name by which mido loads it."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.live.memory_backend import NAME, plugged_in


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The ports of this test."""
    monkeypatch.setenv("MIDO_BACKEND", NAME)
    return plugged_in()
