"""The in-process backend under the name by which mido loads it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

NAME = "perceiver_music_memory_backend"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The ports of this test."""
    spec = importlib.util.spec_from_file_location(
        NAME, Path(__file__).with_name("memory_backend.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.setenv("MIDO_BACKEND", NAME)
    return module
